"""Mono sound as an array, and the few things every speech module does with it.

Samples are float32 in [-1, 1]; the rate is 24 kHz unless a function says otherwise,
since that is what the synthesiser speaks at. Files are 16-bit PCM WAV, which every
later stage and every player reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]

RATE = 24_000
"""Samples per second of all speech in this package."""

SILENCE_DBFS = -120.0
"""What the level of digital silence is reported as, instead of minus infinity."""


_BLOCK_BYTES = 4 * 10 * RATE


def read_wav(path: Path, start: float = 0.0, end: float | None = None) -> Samples:
    """The samples of a mono WAV file at 24 kHz, shape (samples,), from `start` to `end` seconds.

    Raises:
        ValueError: the file has another rate or more than one channel; it was then not
            made by `write_wav`.

    """
    import soundfile

    samples, rate = soundfile.read(
        path,
        start=round(start * RATE),
        stop=None if end is None else round(end * RATE),
        dtype="float32",
        always_2d=True,
    )
    if rate != RATE or samples.shape[1] != 1:
        raise ValueError(
            f"expected mono sound at {RATE} Hz, found {samples.shape[1]} channels at {rate} Hz"
        )
    return np.ascontiguousarray(samples[:, 0])


def write_wav(path: Path, samples: Samples) -> None:
    """Write samples as 16-bit mono WAV at 24 kHz; values beyond ±1 are clipped."""
    import soundfile

    soundfile.write(path, np.clip(samples, -1.0, 1.0), RATE, subtype="PCM_16", format="WAV")


class Take:
    """Sound that comes piece by piece, kept on disk until its level is known.

    So a long speech is brought to one level without ever being in memory as a whole.
    """

    def __init__(self, scratch: Path) -> None:
        """Keep the pieces in `scratch`, a file of raw float32 that `write_wav` removes."""
        self._scratch = scratch
        self._file = scratch.open("wb")
        self._power = 0.0
        self._count = 0

    @property
    def empty(self) -> bool:
        return self._count == 0

    def append(self, samples: Samples) -> None:
        """Add a piece; it is not kept in memory."""
        self._file.write(samples.astype(np.float32).tobytes())
        self._power += float(np.sum(np.square(samples, dtype=np.float64)))
        self._count += samples.size

    def write_wav(self, path: Path, level_dbfs: float) -> None:
        """All of it as `sound.write_wav` writes it, at this level."""
        import soundfile

        self._file.close()
        mean = self._power / max(1, self._count)
        gain = level_dbfs - (10.0 * float(np.log10(mean)) if mean > 0 else level_dbfs)
        with (
            self._scratch.open("rb") as raw,
            soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16", format="WAV") as wav,
        ):
            while block := raw.read(_BLOCK_BYTES):
                wav.write(amplify(np.frombuffer(block, np.float32), gain))
        self._scratch.unlink()


def resample(samples: Samples, rate: int, new_rate: int) -> Samples:
    """Change the sampling rate, band-limited (soxr's high-quality filter)."""
    if rate == new_rate:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, rate, new_rate), dtype=np.float32)


def high_pass(samples: Samples, stop_hz: float, pass_hz: float, rate: int = RATE) -> Samples:
    """Mono sound without what lies below ``stop_hz``, all of it from ``pass_hz`` on, no phase."""
    # A length whose factors are small is transformed fast.
    length = -(-samples.size // rate) * rate
    spectrum = np.fft.rfft(samples, length)
    rising = (np.fft.rfftfreq(length, 1.0 / rate) - stop_hz) / (pass_hz - stop_hz)
    spectrum *= np.sin(0.5 * np.pi * np.clip(rising, 0.0, 1.0)) ** 2
    return np.fft.irfft(spectrum, length)[: samples.size].astype(np.float32)


def level(samples: Samples) -> float:
    """Root-mean-square level in dB relative to full scale."""
    if samples.size == 0:
        return SILENCE_DBFS
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(SILENCE_DBFS, 10.0 * float(np.log10(power))) if power > 0 else SILENCE_DBFS


def amplify(samples: Samples, decibel: float, ceiling_dbfs: float = -1.0) -> Samples:
    """Change the level by `decibel`; peaks above the ceiling are bent smoothly below it.

    Up to 6 dB under the ceiling the curve is a straight line, above it a hyperbolic
    tangent of the same slope, so that ordinary peaks stay untouched and none clips.
    """
    louder = samples * np.float32(10.0 ** (decibel / 20.0))
    ceiling = 10.0 ** (ceiling_dbfs / 20.0)
    knee = ceiling / 2.0
    size = np.abs(louder)
    bent = knee + (ceiling - knee) * np.tanh((size - knee) / (ceiling - knee))
    return np.where(size > knee, np.sign(louder) * bent, louder).astype(np.float32)


def join(pieces: list[Samples], fade_seconds: float = 0.005) -> Samples:
    """Put pieces end to end, each faded in and out for a moment so that no joint clicks."""
    if not pieces:
        return np.zeros(0, np.float32)
    length = round(fade_seconds * RATE)
    ramp = np.sin(np.linspace(0.0, np.pi / 2.0, length, dtype=np.float32)) ** 2
    faded = []
    for piece in pieces:
        soft = piece.copy()
        if soft.size >= 2 * length:
            soft[:length] *= ramp
            soft[-length:] *= ramp[::-1]
        faded.append(soft)
    return np.concatenate(faded)
