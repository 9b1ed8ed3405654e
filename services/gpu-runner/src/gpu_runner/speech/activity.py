"""Where in a recording someone speaks.

WebRTC's detector alone calls loud noise and pure tones speech; a check of voicing
(WORLD's DIO with StoneMask: Morise et al. 2009) tells them apart, because a human voice
has a pitch and moves it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.sound import RATE, Samples, high_pass, resample

FRAME_SECONDS = 0.01
_DETECTOR_RATE = 16_000
_STRICTNESS = 2
_SMOOTHING_FRAMES = 9
_LOUDEST_TO_QUIETEST_DB = 40.0
_LEAST_VOICED = 0.25
"""Share of the speech; ten readers have 0.57 to 0.75, noise up to 0.10."""


def speech_frames(samples: Samples, rate: int = RATE) -> NDArray[np.bool_]:
    """One flag per 10 ms: is this speech? The level of the sound does not matter."""
    import webrtcvad

    narrow = resample(samples, rate, _DETECTOR_RATE)
    size = round(FRAME_SECONDS * _DETECTOR_RATE)
    count = narrow.size // size
    if count == 0:
        return np.zeros(0, np.bool_)
    peak = float(np.max(np.abs(narrow)))
    if peak == 0.0:
        return np.zeros(count, np.bool_)
    pcm = (narrow[: count * size] * (16_000.0 / peak)).astype("<i2").reshape(count, size)
    detector = webrtcvad.Vad(_STRICTNESS)
    flags = np.array([detector.is_speech(frame.tobytes(), _DETECTOR_RATE) for frame in pcm])
    power = np.mean(np.square(pcm, dtype=np.float64), axis=1)
    loud = power > np.percentile(power, 95) * 10.0 ** (-_LOUDEST_TO_QUIETEST_DB / 10.0)
    votes = np.convolve(flags & loud, np.ones(_SMOOTHING_FRAMES), mode="same")
    return votes > _SMOOTHING_FRAMES / 2


def pitch(samples: Samples, rate: int = RATE) -> NDArray[np.float64]:
    """Fundamental frequency in Hz for every 10 ms; 0 where there is no voice."""
    import pyworld

    # A hum of the mains is as regular as a voice, and would be followed instead. The slope is
    # gentle, as the edge of a steep one rings, which makes a tone of noise.
    signal = np.ascontiguousarray(high_pass(samples, 40.0, 120.0, rate), dtype=np.float64)
    coarse, times = pyworld.dio(
        signal, rate, f0_floor=60.0, f0_ceil=600.0, frame_period=FRAME_SECONDS * 1000.0
    )
    return np.asarray(pyworld.stonemask(signal, coarse, times, rate))


def is_spoken(pitch_hz: NDArray[np.float64], flags: NDArray[np.bool_]) -> bool:
    """Whether the frames flagged as speech have a voice whose pitch moves.

    Running speech is voiced for half of the time or more and its pitch wanders by
    semitones; noise has no pitch, and a tone or a hum does not move it.
    """
    count = min(pitch_hz.size, flags.size)
    spoken = pitch_hz[:count][flags[:count]]
    voiced = spoken[spoken > 0]
    if voiced.size < _LEAST_VOICED * max(1, spoken.size):
        return False
    semitones = 12.0 * np.log2(voiced)
    low, high = np.percentile(semitones, (10, 90))
    return bool(high - low > 0.5)


def regions(flags: NDArray[np.bool_], margin_seconds: float) -> list[tuple[float, float]]:
    """Stretches of speech as (start, end) in seconds, widened by a margin and merged."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    found: list[tuple[float, float]] = []
    for first, past in edges.reshape(-1, 2) * FRAME_SECONDS:
        start, end = max(0.0, first - margin_seconds), past + margin_seconds
        if found and start <= found[-1][1]:
            start = found.pop()[0]
        found.append((start, end))
    return found
