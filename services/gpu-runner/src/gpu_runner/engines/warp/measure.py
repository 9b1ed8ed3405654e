"""Honest measures of a rendered video, taken from its frames and not from the intention.

The face mesh is fitted to rendered frames as it would be to any video; the gap it sees between the
inner lips is compared with the gap that was intended and with the sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpu_runner.faces.identity import distance, embed
from gpu_runner.faces.mesh import Mesh, refine_mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INNER_UPPER, INNER_LOWER = (82, 13, 312), (87, 14, 317)
# Frames whose mesh is fitted; more would cost time and tell nothing new.
SAMPLES = 96


def sample_indices(frames: int, samples: int = SAMPLES) -> list[int]:
    """At most `samples` frame numbers, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, frames - 1, min(frames, samples)).round()})


def lip_gap(rgb: NDArray[np.uint8], near: Mesh) -> float:
    """Gap between the inner lips in outer-eye distances, for a face close to mesh `near`."""
    mesh = refine_mesh(rgb, near, looks=3)
    gap = mesh.points[list(INNER_LOWER), :2] - mesh.points[list(INNER_UPPER), :2]
    eyes = mesh.points[263, :2] - mesh.points[33, :2]
    down = np.array([-eyes[1], eyes[0]]) / np.hypot(*eyes)
    return float((gap @ down).mean()) / mesh.eye_distance


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's r of two tracks (n,); 0 when either does not vary."""
    if len(a) < 3 or np.std(a) < 1e-9 or np.std(b) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def identity_distance(
    portrait: NDArray[np.uint8], frames: Sequence[NDArray[np.uint8]]
) -> float | None:
    """Mean embedding distance of `frames` to `portrait`; None where no face is recognised."""
    reference = embed(portrait)
    if reference is None:
        return None
    found = [other for frame in frames if (other := embed(frame)) is not None]
    return float(np.mean([distance(reference, other) for other in found])) if found else None


def background(mesh: Mesh, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels (height, width) lie above the chin's height and clear of head and hair."""
    left, top, right, bottom = mesh.box
    cx, cy = mesh.centre
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot((x - cx) / (right - left), (y - cy) / (bottom - top)) > 1.15
    return np.asarray(away & (y < bottom))


class Flicker:
    """Mean change from frame to frame, of 255, where the picture should stand still."""

    def __init__(self, still: NDArray[np.bool_]) -> None:
        self._still = still
        self._last: NDArray[np.int16] | None = None
        self._changes: list[float] = []

    def see(self, rgb: NDArray[np.uint8]) -> None:
        """Take in the next frame (height, width, 3)."""
        # One pixel in sixteen says the same as all of them.
        here = rgb[::4, ::4][self._still[::4, ::4]].astype(np.int16)
        if self._last is not None and here.size:
            self._changes.append(float(np.abs(here - self._last).mean()))
        self._last = here

    def mean(self) -> float:
        """The mean change over all frames seen so far."""
        return float(np.mean(self._changes)) if self._changes else 0.0
