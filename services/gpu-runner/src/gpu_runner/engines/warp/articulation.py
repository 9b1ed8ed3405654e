"""From phonemes to movement: the mouth's track, with co-articulation.

Each sound pulls the mouth towards its pose with a weight that is full while it sounds and fades
before and after it; the track is the weighted mean (Cohen and Massaro 1993, dominance functions).
Afterwards hard facts are enforced: lips are shut at p, b and m, and in pauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from gpu_runner.engines.warp.visemes import Pose, Segment, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.timings import Timings

# Tracks are computed at this many samples a second and read out at the frames.
RATE = 200
SKIRT_BEFORE, SKIRT_AFTER = 0.055, 0.050
SMOOTHING = 0.018
# The mouth moves before the sound, as in real speech.
LEAD = 0.040
CHIN_SMOOTHING = 0.042
LOUDNESS_RANGE = (0.55, 1.05)
JAW_GOAL, JAW_PERCENTILE = 0.72, 93
GAIN_LIMITS = (0.8, 1.7)
SHUT_AT_LEAST, SHUT_SKIRT = 0.044, 0.035
REST_PULL = 0.04
# Shorter gaps between sounds are closures within speech and not pauses.
PAUSE = 0.12

# How far each part opens the lips' middle at full weight, in distances of the outer eye corners; a
# lip drawn under the teeth comes up.
OPENING = Pose(jaw=0.115, lower=0.030, upper=0.030, tuck=-0.022)


@dataclass(frozen=True, slots=True)
class MouthTrack:
    """The mouth over time, one entry per frame.

    `pose` is (frames, 8) in the order of `Pose`. `chin` (frames,) follows the jaw more lazily;
    the lips make up the difference. `opening` (frames,) is the gap at the lips' middle in
    outer-eye distances. `loudness` (frames,) runs from 0 to about 1.
    """

    pose: NDArray[np.float64]
    chin: NDArray[np.float64]
    opening: NDArray[np.float64]
    loudness: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        """The track (frames,) of one part of the pose."""
        return self.pose[:, Pose._fields.index(name)]


def articulate(
    timings: Timings, sound: NDArray[np.float32], sample_rate: int, fps: int, frames: int
) -> MouthTrack:
    """Compute the mouth's movement.

    Args:
        timings: what is spoken when.
        sound: the speech, mono samples (n,), -1…1.
        sample_rate: of `sound`, in hertz.
        fps: frames per second of the result.
        frames: number of frames of the result.

    """
    time = np.arange(int(np.ceil(frames / fps * RATE)) + RATE // 2) / RATE
    spoken = list(segments(timings.phonemes))
    track = _dominance_mean(time, spoken, timings)
    loud = loudness(sound, sample_rate, time)
    track[:, :4] *= np.interp(loud, (0.0, 1.0), LOUDNESS_RANGE)[:, None]
    track[:, 0] *= _gain(track[:, 0], loud)
    track = gaussian_filter1d(track, SMOOTHING * RATE, axis=0, mode="nearest")
    track[:, [0, 1, 2, 7]] *= (1 - _shut(time, spoken))[:, None]
    track *= _awake(time, timings)[:, None]
    track = track.clip(0.0, 1.15)
    chin = gaussian_filter1d(track[:, 0], CHIN_SMOOTHING * RATE, mode="nearest")
    at = (np.arange(frames) + 0.5) / fps
    pose = _read(track, time - LEAD, at)
    opening = (pose @ np.array(OPENING)).clip(0.0)
    return MouthTrack(pose, _read(chin, time - LEAD, at), opening, _read(loud, time, at))


def loudness(
    sound: NDArray[np.float32], sample_rate: int, time: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Loudness (len(time),) of `sound`: 1 is its loud vowels, 0 is 30 dB below them."""
    hop = max(1, sample_rate // RATE)
    power = np.add.reduceat(sound.astype(np.float64) ** 2, np.arange(0, len(sound), hop)) / hop
    smooth = gaussian_filter1d(power, 0.02 * sample_rate / hop, mode="constant")
    level = 10 * np.log10(smooth + 1e-9)
    ratio = (level - np.percentile(level, 95) + 30) / 30
    centres = (np.arange(len(level)) + 0.5) * hop / sample_rate
    return np.asarray(np.interp(time, centres, ratio.clip(0.0, 1.0), left=0.0, right=0.0))


def _dominance_mean(
    time: NDArray[np.float64], spoken: list[Segment], timings: Timings
) -> NDArray[np.float64]:
    total = np.full((len(time), len(Pose._fields)), REST_PULL)
    pull = np.zeros_like(total)
    for segment in spoken:
        viseme = segment.viseme
        shape = _plateau(time, segment.start, segment.end, SKIRT_BEFORE, SKIRT_AFTER)
        say = np.full(len(Pose._fields), viseme.weight)
        say[0], say[4] = viseme.jaw_weight, viseme.round_weight
        weight = shape[:, None] * say
        total += weight
        pull += weight * np.array(viseme.pose)
    for start, end in timings.pauses(PAUSE):
        total += _plateau(time, start + 0.04, end - 0.04, 0.05, 0.05)[:, None]
    return np.asarray(pull / total)


def _plateau(
    time: NDArray[np.float64], start: float, end: float, before: float, after: float
) -> NDArray[np.float64]:
    """One from `start` to `end`, with Gaussian skirts of the given widths in seconds."""
    outside = np.maximum(start - time, 0) / before + np.maximum(time - end, 0) / after
    return np.exp(-(outside**2))


def _gain(jaw: NDArray[np.float64], loud: NDArray[np.float64]) -> float:
    """Bring speech that hardly opens the mouth, or always gapes, to the usual range."""
    voiced = jaw[loud > 0.2]
    if voiced.size == 0:
        return 1.0
    return float(np.clip(JAW_GOAL / max(np.percentile(voiced, JAW_PERCENTILE), 1e-3), *GAIN_LIMITS))


def _shut(time: NDArray[np.float64], spoken: list[Segment]) -> NDArray[np.float64]:
    """One while p, b or m keep the lips shut, zero a skirt away from them."""
    shut = np.zeros_like(time)
    for segment in spoken:
        if segment.viseme.closes:
            middle = (segment.start + segment.end) / 2
            half = max(SHUT_AT_LEAST, 0.8 * (segment.end - segment.start)) / 2
            near = 1 - (np.abs(time - middle) - half) / SHUT_SKIRT
            shut = np.maximum(shut, _smooth(near))
    return shut


def _awake(time: NDArray[np.float64], timings: Timings) -> NDArray[np.float64]:
    """Zero in the inner part of pauses, so that silence is exactly shut; else one."""
    awake = np.ones_like(time)
    for start, end in timings.pauses(PAUSE):
        # The mouth may prepare the next sound, and needs a moment to close after the last.
        depth = np.minimum((time - start - 0.03) / 0.06, (end - 0.07 - time) / 0.06)
        awake = np.minimum(awake, 1 - _smooth(depth))
    return awake


def _smooth(ramp: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = ramp.clip(0.0, 1.0)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))


def _read(
    track: NDArray[np.float64], time: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    if track.ndim == 1:
        return np.interp(at, time, track)
    return np.stack([np.interp(at, time, column) for column in track.T], axis=1)
