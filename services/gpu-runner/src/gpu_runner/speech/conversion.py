"""Changes a voice's pitch, melody, vocal-tract length and colour; never its timing.

Speech is taken apart by WORLD (Morise, Yokomori, Ozawa 2016: F0, spectral envelope,
aperiodicity), each part is changed, and put together again. A conversion that changes
nothing passes the sound through untouched, because even a faithful vocoder costs clarity.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.sound import RATE, Samples

FRAME_MILLISECONDS = 5.0
SHORTEST_VOICE_FRAMES = 5
BANDS_HZ = tuple(float(round(150.0 * 60.0 ** (index / 15))) for index in range(16))
"""Centres of the equaliser's bands, 150 Hz to 9 kHz; between them the gain is interpolated."""

LIMIT_DB = 15.0
SHAPES = 12
"""How many numbers tell the shape of a frame's spectrum, see `shapes`."""

_SMOOTHED_FRAMES = 9
_FLAT = (0.0,) * len(BANDS_HZ)
_UNSHADED = (_FLAT,) * SHAPES


@dataclass(frozen=True, slots=True)
class Conversion:
    """How to change a voice.

    `pitch` multiplies F0; `melody` multiplies its excursions (in octaves) about the median;
    `formants` > 1 shortens the vocal tract (all resonances rise by this factor);
    `equaliser_db` holds one gain for each of `BANDS_HZ`. `shading_db`, `SHAPES` rows of as many
    gains, adds to them what each frame's shape calls for, so an "ee" may be coloured otherwise
    than an "oh" or an "s".
    """

    pitch: float = 1.0
    melody: float = 1.0
    formants: float = 1.0
    equaliser_db: tuple[float, ...] = field(default=_FLAT)
    shading_db: tuple[tuple[float, ...], ...] = field(default=_UNSHADED)

    @property
    def is_none(self) -> bool:
        return self == Conversion()

    def softened(self, share: float) -> Conversion:
        """With this share of its colour; pitch, melody and formants stay."""
        return replace(
            self,
            equaliser_db=tuple(share * gain for gain in self.equaliser_db),
            shading_db=tuple(tuple(share * gain for gain in row) for row in self.shading_db),
        )


@dataclass(frozen=True, slots=True)
class Analysis:
    """Speech taken apart: F0 in Hz (frames,), envelope and aperiodicity (frames, bins)."""

    pitch: NDArray[np.float64]
    envelope: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]
    length: int


def analyse(samples: Samples) -> Analysis:
    """Take mono speech at 24 kHz apart, every 5 ms."""
    import pyworld

    signal = np.ascontiguousarray(samples, dtype=np.float64)
    coarse, times = pyworld.dio(
        signal, RATE, f0_floor=60.0, f0_ceil=600.0, frame_period=FRAME_MILLISECONDS
    )
    pitch = without_blips(pyworld.stonemask(signal, coarse, times, RATE))
    return Analysis(
        pitch=pitch,
        envelope=pyworld.cheaptrick(signal, pitch, times, RATE),
        aperiodicity=pyworld.d4c(signal, pitch, times, RATE),
        length=samples.size,
    )


def synthesise(analysis: Analysis, conversion: Conversion) -> Samples:
    """Put speech together again, changed; exactly as long as it was."""
    import pyworld

    hertz = np.linspace(0.0, RATE / 2, analysis.envelope.shape[1])
    envelope = _warped(analysis.envelope, conversion.formants)
    aperiodicity = _warped(analysis.aperiodicity, conversion.formants)
    # The envelope is power, hence ten and not twenty decibel per decade.
    envelope = envelope * 10.0 ** (gains_db(analysis, conversion) @ between_bands(hertz) / 10.0)
    sound = pyworld.synthesize(
        changed_pitch(analysis.pitch, conversion),
        np.ascontiguousarray(envelope),
        np.ascontiguousarray(aperiodicity),
        RATE,
        FRAME_MILLISECONDS,
    )
    fitted = np.zeros(analysis.length, np.float32)
    count = min(sound.size, analysis.length)
    fitted[:count] = sound[:count]
    return fitted


def convert(samples: Samples, conversion: Conversion) -> Samples:
    """Change the voice of mono speech at 24 kHz."""
    return samples if conversion.is_none else synthesise(analyse(samples), conversion)


def changed_pitch(pitch: NDArray[np.float64], conversion: Conversion) -> NDArray[np.float64]:
    """F0 scaled about its median; 0 (no voice) stays 0."""
    voiced = pitch > 0
    if not voiced.any():
        return pitch
    octaves = np.log2(pitch[voiced])
    middle = np.median(octaves)
    changed = np.zeros_like(pitch)
    moved = middle + (octaves - middle) * conversion.melody + np.log2(conversion.pitch)
    changed[voiced] = np.clip(2.0**moved, 50.0, 700.0)
    return changed


def without_blips(pitch: NDArray[np.float64]) -> NDArray[np.float64]:
    """F0 without voiced runs of less than 25 ms: the vocoder turns those into clicks."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (pitch > 0).astype(np.int8), [0]))))
    cleaned = pitch.copy()
    for first, past in edges.reshape(-1, 2):
        if past - first < SHORTEST_VOICE_FRAMES:
            cleaned[first:past] = 0.0
    return cleaned


def median_pitch(analysis: Analysis) -> float:
    """Median F0 of the voiced frames in Hz; 0 if there is none."""
    voiced = analysis.pitch[analysis.pitch > 0]
    return float(np.median(voiced)) if voiced.size else 0.0


def long_term_spectrum(analysis: Analysis) -> NDArray[np.float64]:
    """Mean level of the voiced frames in the equaliser's bands, in dB, zero-mean, shape (16,)."""
    voiced = analysis.pitch > 0
    frames = analysis.envelope[voiced] if voiced.any() else analysis.envelope
    decibel = 10.0 * np.log10(np.mean(frames / frames.sum(axis=1, keepdims=True), axis=0) + 1e-12)
    means = _band_levels(decibel)
    return np.asarray(means - means.mean())


def _warped(spectra: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Move every spectrum along the frequency axis: what was at f comes to f x factor."""
    if factor == 1.0:
        return spectra
    bins = spectra.shape[1]
    source = np.minimum(np.arange(bins) / factor, bins - 1.0)
    low = source.astype(np.int64)
    high = np.minimum(low + 1, bins - 1)
    share = source - low
    return np.asarray(spectra[:, low] * (1.0 - share) + spectra[:, high] * share)


def gains_db(analysis: Analysis, conversion: Conversion) -> NDArray[np.float64]:
    """The gain of every band in every frame, shape (frames, 16), within `LIMIT_DB`."""
    shaded = shapes(analysis) @ np.array(conversion.shading_db)
    return np.clip(np.array(conversion.equaliser_db) + shaded, -LIMIT_DB, LIMIT_DB)


def shapes(analysis: Analysis) -> NDArray[np.float64]:
    """What each frame's spectrum looks like, whatever its level: shape (frames, `SHAPES`).

    The first cosine coefficients of the levels in the equaliser's bands, in units of 10 dB and
    averaged over 45 ms: cepstra of a frequency axis that is logarithmic, as in the recognition of
    speech (Davis and Mermelstein 1980).
    """
    levels = _band_levels(10.0 * np.log10(analysis.envelope + 1e-12))
    count = len(BANDS_HZ)
    order, band = np.arange(1, SHAPES + 1)[:, None], np.arange(count)
    cosines = np.sqrt(2.0 / count) * np.cos(np.pi * order * (2 * band + 1) / (2 * count))
    half = _SMOOTHED_FRAMES // 2
    padded = np.pad(levels @ cosines.T / 10.0, ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED_FRAMES, axis=0)
    return np.asarray(windows.mean(axis=2))


def between_bands(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of each band's gain in that at each of `hertz`, shape (16, frequencies)."""
    octaves = np.log(np.maximum(hertz, 1.0))
    return np.stack([np.interp(octaves, np.log(BANDS_HZ), one) for one in np.eye(len(BANDS_HZ))])


def _band_levels(decibel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of spectra in dB over the equaliser's bands, shape (..., 16)."""
    hertz = np.linspace(0.0, RATE / 2, decibel.shape[-1])
    edges = np.sqrt(np.array(BANDS_HZ[:-1]) * np.array(BANDS_HZ[1:]))
    starts = np.concatenate(([0], np.searchsorted(hertz, edges)))
    sums = np.add.reduceat(decibel, starts, axis=-1)
    return np.asarray(sums / np.diff(np.append(starts, hertz.size)))
