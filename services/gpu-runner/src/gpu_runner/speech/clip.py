"""A voice clip made ready for training: decoded, cleaned of silence, of one level.

What comes in is any recording a person has at hand; what goes out is the same voice as
mono sound at 24 kHz, with pauses cut to a breath and speech at a fixed level, and a
report of how good the recording was. A recording that cannot serve is refused with a
reason and a remedy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech import activity
from gpu_runner.speech.decoding import Recording, decode
from gpu_runner.speech.sound import (
    RATE,
    SILENCE_DBFS,
    Samples,
    amplify,
    high_pass,
    join,
    level,
    resample,
    write_wav,
)
from gpu_runner.speech.speaker import encoder
from gpu_runner.speech.speakers import STEP_SECONDS, likeness_of_two
from gpu_runner.stage import StageError

SHORTEST_SPEECH_SECONDS = 3.0
LONGEST_CLIP_SECONDS = 600.0
SPEECH_LEVEL_DBFS = -23.0

_RECOMMENDED_SPEECH_SECONDS = 8.0
_SILENT_DBFS = -65.0
_RUMBLE_HZ = (62.0, 72.0)
"""Below any voice: mains hum of 50 or 60 Hz, steps, wind; nothing is left of the lower, all of the
higher."""
_MARGIN_SECONDS = 0.2
_NOISY_BELOW_DB = 18.0
_QUIET_BELOW_DBFS = -42.0
_CLIPPED_ABOVE = 0.0005
_NARROW_BELOW_DB = -48.0
"""Between -19 and -34 dB in eight synthetic voices, as MP3 and in noise too; -62 to -94 dB in the
same through a telephone, by whatever codec it came."""
_TWO_VOICES_BELOW = 0.72
"""At least 0.80 in 39 clips of twelve seconds by 29 people who read aloud; below this in 93 % of
731 that were made of two of them."""
_LOW_BAND_HZ = (300.0, 3400.0)
_HIGH_BAND_HZ = (4300.0, 7500.0)


@dataclass(frozen=True, slots=True)
class ClipReport:
    """How the recording was, and what became of it.

    Seconds are of the file (`source_seconds`), of detected speech (`speech_seconds`) and of
    the cleaned sound (`seconds`). `speech_level_dbfs` is the level of speech alone before
    `gain_db` was applied; `noise_floor_dbfs` the level between the words on the same scale;
    `high_band_db` the level above what a telephone carries, relative to what it does;
    `likeness_of_two` how alike the two voices are that can be told apart best, 1.0 if none can;
    `clipped_ratio` the share of samples flattened at the recorder's limit. `warnings` are
    kebab-case names of what makes a good match less likely.
    """

    container: str
    codec: str
    source_rate: int
    source_seconds: float
    speech_seconds: float
    seconds: float
    speech_level_dbfs: float
    gain_db: float
    noise_floor_dbfs: float
    signal_to_noise_db: float
    high_band_db: float
    clipped_ratio: float
    median_pitch_hz: float
    likeness_of_two: float
    warnings: tuple[str, ...]

    def metrics(self) -> dict[str, object]:
        """The report as plain JSON values, numbers rounded to what they are worth."""
        return {
            name: round(value, 4)
            if isinstance(value, float)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in asdict(self).items()
        }


def prepare_clip(path: Path, out_wav: Path) -> ClipReport:
    """Read any recording and write its speech as mono 24 kHz WAV to `out_wav`.

    Raises:
        StageError: `not-audio`, `clip-too-long`, `clip-silent` (nothing above the noise of a
            converter), `clip-without-speech` (sound, but no voice), `clip-too-short` (less
            than three seconds of speech).

    """
    recording = decode(path, LONGEST_CLIP_SECONDS)
    loudest = _loudest_channel(recording)
    samples = high_pass(resample(loudest, recording.rate, RATE), *_RUMBLE_HZ)
    if level(samples) < _SILENT_DBFS:
        raise StageError(
            "clip-silent",
            "the voice clip is silent, or holds nothing but a hum",
            "Check the microphone, listen to the file, and record again",
        )
    flags = activity.speech_frames(samples)
    pitch = activity.pitch(samples)
    speech_seconds = float(np.count_nonzero(flags)) * activity.FRAME_SECONDS
    _refuse_without_speech(pitch, flags, speech_seconds)

    speech_level, noise_floor = _levels(samples, flags)
    gain = SPEECH_LEVEL_DBFS - speech_level
    kept = [
        samples[round(start * RATE) : round(end * RATE)]
        for start, end in activity.regions(flags, _MARGIN_SECONDS)
    ]
    cleaned = amplify(join(kept), gain)
    write_wav(out_wav, cleaned)
    voiced = pitch[pitch > 0]
    measured = {
        "speech_seconds": speech_seconds,
        "speech_level_dbfs": speech_level,
        "signal_to_noise_db": speech_level - noise_floor,
        "high_band_db": high_band_db(samples, flags),
        "clipped_ratio": clipped_ratio(loudest),
        "likeness_of_two": likeness_of_two(encoder().embed_windows(cleaned, STEP_SECONDS)),
    }
    return ClipReport(
        container=recording.container,
        codec=recording.codec,
        source_rate=recording.rate,
        source_seconds=recording.seconds,
        seconds=cleaned.size / RATE,
        gain_db=gain,
        noise_floor_dbfs=noise_floor,
        median_pitch_hz=float(np.median(voiced)),
        warnings=_warnings(**measured),
        **measured,
    )


def clipped_ratio(samples: Samples) -> float:
    """Share of samples in flat tops: three or more in a row within 0.1 % of the peak.

    Relative to the recording's own peak, because a clipped recording that was turned down
    later is still clipped.
    """
    size = np.abs(samples)
    peak = float(size.max(initial=0.0))
    if peak == 0.0:
        return 0.0
    at_peak = np.concatenate(([0], (size >= 0.999 * peak).astype(np.int8), [0]))
    starts, ends = np.flatnonzero(np.diff(at_peak)).reshape(-1, 2).T
    runs = ends - starts
    return float(runs[runs >= 3].sum()) / samples.size


def _loudest_channel(recording: Recording) -> Samples:
    """One channel, not the mean: channels of opposite phase would cancel each other."""
    channels = recording.channels - recording.channels.mean(axis=1, keepdims=True)
    power = np.mean(np.square(channels, dtype=np.float64), axis=1)
    return np.ascontiguousarray(channels[int(np.argmax(power))], dtype=np.float32)


def _refuse_without_speech(
    pitch: NDArray[np.float64], flags: NDArray[np.bool_], speech_seconds: float
) -> None:
    if speech_seconds > 0.5 and not activity.is_spoken(pitch, flags):
        raise StageError(
            "clip-without-speech",
            "the voice clip has sound, but no voice that speaks",
            "Send one person speaking, without music and close to the microphone",
        )
    if speech_seconds < SHORTEST_SPEECH_SECONDS:
        raise StageError(
            "clip-too-short",
            f"the voice clip holds {speech_seconds:.1f} seconds of speech,"
            f" {SHORTEST_SPEECH_SECONDS:.0f} are needed",
            "Record ten to thirty seconds of one person speaking",
        )


def high_band_db(samples: Samples, flags: NDArray[np.bool_]) -> float:
    """Power of the speech from 4.3 to 7.5 kHz relative to that from 0.3 to 3.4 kHz, in dB.

    A telephone carries the second band only (ITU-T G.712); sibilants live in the first.
    """
    frames, speech = _frames(samples, flags)
    hertz = np.fft.rfftfreq(frames.shape[1], 1.0 / RATE)
    power = np.mean(np.abs(np.fft.rfft(frames[speech] * np.hanning(frames.shape[1]))) ** 2, axis=0)
    low, high = (
        float(np.sum(power[(hertz >= first) & (hertz <= last)]))
        for first, last in (_LOW_BAND_HZ, _HIGH_BAND_HZ)
    )
    return 10.0 * float(np.log10(max(high, 1e-12 * low) / low))


def _frames(
    samples: Samples, flags: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The samples cut as the flags are, shape (frames, samples of one), and as many flags."""
    size = round(activity.FRAME_SECONDS * RATE)
    count = min(flags.size, samples.size // size)
    return samples[: count * size].reshape(count, size), flags[:count]


def _levels(samples: Samples, flags: NDArray[np.bool_]) -> tuple[float, float]:
    """Level of the speech frames, and of the quietest tenth of all frames, in dBFS."""
    frames, spoken = _frames(samples, flags)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    speech = 10.0 * np.log10(float(np.mean(power[spoken])))
    quiet = float(np.percentile(power, 5))
    return float(speech), float(10.0 * np.log10(quiet)) if quiet > 1e-12 else SILENCE_DBFS


def _warnings(
    *,
    speech_seconds: float,
    speech_level_dbfs: float,
    signal_to_noise_db: float,
    high_band_db: float,
    clipped_ratio: float,
    likeness_of_two: float,
) -> tuple[str, ...]:
    found = {
        "little-speech": speech_seconds < _RECOMMENDED_SPEECH_SECONDS,
        "quiet": speech_level_dbfs < _QUIET_BELOW_DBFS,
        "noisy": signal_to_noise_db < _NOISY_BELOW_DB,
        "narrow-band": high_band_db < _NARROW_BELOW_DB,
        "several-voices": likeness_of_two < _TWO_VOICES_BELOW,
        "clipped": clipped_ratio > _CLIPPED_ABOVE,
    }
    return tuple(name for name, present in found.items() if present)
