"""The small movements of somebody who is alive: head, blinks, brows, breath.

Nothing here is measured from anybody. Head motion is low-passed noise that grows with speech, with
nods on the loudest syllables (Munhall et al. 2004: heads move with prosody); blinks fall into
pauses where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

YAW, PITCH, ROLL = 2.2, 0.7, 0.7
NOD, BROW = 1.6, 0.8
# Held for longer than a frame, so that the eyes are seen shut.
BLINK_CLOSING, BLINK_HELD, BLINK_OPENING = 0.075, 0.045, 0.130
BLINK_EVERY = (3.0, 5.0)
BREATH_PERIOD, BREATH_PIXELS = 4.2, 1.0


@dataclass(frozen=True, slots=True)
class MotionTrack:
    """Movement per frame, each (frames,).

    `yaw`, `pitch`, `roll` in degrees (pitch is positive downwards), `blink` from 0 (open) to 1
    (shut), `brow` from 0 to 1 (raised), `breath` in pixels of a 512-pixel picture, down.
    """

    yaw: NDArray[np.float64]
    pitch: NDArray[np.float64]
    roll: NDArray[np.float64]
    blink: NDArray[np.float64]
    brow: NDArray[np.float64]
    breath: NDArray[np.float64]


def stillness(frames: int) -> MotionTrack:
    """No movement, for somebody who is moved by something else."""
    return MotionTrack(*(np.zeros(frames) for _ in range(6)))


def live(
    loudness: NDArray[np.float64],
    pauses: Sequence[tuple[float, float]],
    fps: int,
    rng: np.random.Generator,
) -> MotionTrack:
    """Make the movement that goes with speech.

    Args:
        loudness: loudness of the speech per frame (frames,), 0-1.
        pauses: spans of silence in seconds, where blinks are welcome.
        fps: frames per second.
        rng: source of chance; the same state gives the same movement.

    """
    frames = len(loudness)
    time = (np.arange(frames) + 0.5) / fps
    # The first half second grows out of the portrait's own pose.
    onset = np.clip(time / 0.6, 0, 1) ** 2
    vigour = onset * (0.55 + 0.6 * gaussian_filter1d(loudness, 0.5 * fps, mode="nearest"))
    syllables, _ = find_peaks(
        gaussian_filter1d(loudness, 0.05 * fps), prominence=0.15, distance=max(1, int(0.6 * fps))
    )
    stresses = [float(time[index]) for index in syllables]
    nods = sum((_bump(time, at, 0.13) * rng.uniform(0.4, 1.0) for at in stresses), np.zeros(frames))
    brows = sum(
        (_bump(time, at, 0.16) * rng.uniform(0.5, 1.0) for at in stresses if rng.random() < 0.35),
        np.zeros(frames),
    )
    return MotionTrack(
        yaw=YAW * vigour * _wander(time, rng),
        pitch=PITCH * vigour * _wander(time, rng) + NOD * onset * nods.clip(0, 1),
        roll=ROLL * vigour * _wander(time, rng),
        blink=blinks(time, blink_times(float(time[-1]), pauses, rng)),
        brow=BROW * onset * brows.clip(0, 1),
        breath=BREATH_PIXELS * onset * np.sin(2 * np.pi * time / BREATH_PERIOD),
    )


def blink_times(
    duration: float, pauses: Sequence[tuple[float, float]], rng: np.random.Generator
) -> list[float]:
    """Moments of closure in seconds: every three to five, moved into a pause if one is near."""
    moments: list[float] = []
    next_one = rng.uniform(0.9, 2.2)
    while next_one < duration - 0.3:
        middles = [(start + end) / 2 for start, end in pauses]
        near = [middle for middle in middles if abs(middle - next_one) < 0.9]
        moment = min(near, key=lambda middle: abs(middle - next_one)) if near else next_one
        if moments and moment - moments[-1] < 1.0:
            moment = next_one
        moments.append(moment)
        next_one = moment + rng.uniform(*BLINK_EVERY)
    return moments


def blinks(time: NDArray[np.float64], moments: Sequence[float]) -> NDArray[np.float64]:
    """Lid closure (len(time),) for blinks whose closure begins to be full at `moments`."""
    closed = np.zeros_like(time)
    for moment in moments:
        down = 1 + (time - moment) / BLINK_CLOSING
        up = 1 - (time - moment - BLINK_HELD) / BLINK_OPENING
        closed = np.maximum(closed, np.minimum(down, up).clip(0, 1))
    return closed * closed * (3 - 2 * closed)


def _bump(time: NDArray[np.float64], at: float, width: float) -> NDArray[np.float64]:
    return np.exp(-(((time - at) / width) ** 2))


def _wander(time: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise of unit variance: sines of incommensurate periods with chance phases."""
    periods = rng.uniform(0.85, 1.15, 4) * np.array([1.9, 3.3, 5.3, 8.9])
    shares = np.array([0.35, 0.6, 0.8, 0.9])
    phases = rng.uniform(0, 2 * np.pi, 4)
    waves = np.sin(2 * np.pi * time[:, None] / periods + phases)
    return np.asarray(waves @ (shares / np.sqrt((shares**2).sum() / 2)))
