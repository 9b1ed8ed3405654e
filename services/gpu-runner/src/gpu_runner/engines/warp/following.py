"""How far apart the lips of a frame are, by finding each lip again.

The face mesh sees of a narrow gap next to nothing, and of a wide one a third to a half. On
photographs each lip has grain and shading of its own, so its picture at rest is searched for in the
frame by normalised cross-correlation, to a fraction of a pixel: the two shifts differ by the gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import LOWER_LIP, UPPER_LIP, FaceFrame, face_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.faces.mesh import Mesh

# All in outer-eye distances, but the share of the mouth's width that is looked at.
MIDDLE = 0.55
SKIN, THINNEST = 0.05, 0.05
REACH_BESIDE, REACH_UP, REACH_DOWN = 0.08, 0.10, 0.20
# Pixels to which an outer-eye distance is scaled.
RESOLUTION = 160


@dataclass(frozen=True, slots=True)
class _Lip:
    """A lip at rest: its picture and its place (left, top, right, bottom) in face coordinates."""

    picture: NDArray[np.uint8]
    box: tuple[float, float, float, float]


class Lips:
    """Both lips of a face, as they are when they touch."""

    def __init__(self, at_rest: NDArray[np.uint8], mesh: Mesh) -> None:
        """Learn them from a frame (height, width, 3) whose face is `mesh`."""
        self._frame = face_frame(mesh.points)
        grey = cv2.cvtColor(at_rest, cv2.COLOR_RGB2GRAY)
        face = self._frame.to_face(mesh.points[:, :2])
        middle, half = (face[291, 0] + face[61, 0]) / 2, (face[291, 0] - face[61, 0]) / 2
        sides = float(middle - MIDDLE * half), float(middle + MIDDLE * half)
        self._upper, self._lower = (
            self._lip(grey, face, rows, sides) for rows in (UPPER_LIP, LOWER_LIP)
        )

    def gap(self, rgb: NDArray[np.uint8]) -> float:
        """The gap in a frame (height, width, 3), in outer-eye distances; 0 where lips touch."""
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        return max(0.0, self._sunk(grey, self._lower) - self._sunk(grey, self._upper))

    def _lip(
        self,
        grey: NDArray[np.uint8],
        face: NDArray[np.float64],
        rows: tuple[tuple[int, ...], ...],
        sides: tuple[float, float],
    ) -> _Lip:
        inner, outer = (float(face[list(row[4:7]), 1].mean()) for row in (rows[-1], rows[0]))
        way = np.sign(outer - inner)
        far = inner + way * (max(abs(outer - inner), THINNEST) + SKIN)
        box = sides[0], min(inner, far), sides[1], max(inner, far)
        return _Lip(_cut(grey, self._frame, box), box)

    def _sunk(self, grey: NDArray[np.uint8], lip: _Lip) -> float:
        """By how much a lip lies lower than at rest."""
        left, top, right, bottom = lip.box
        wider = left - REACH_BESIDE, top - REACH_UP, right + REACH_BESIDE, bottom + REACH_DOWN
        likeness = cv2.matchTemplate(
            _cut(grey, self._frame, wider), lip.picture, cv2.TM_CCOEFF_NORMED
        )
        _, _, _, (column, row) = cv2.minMaxLoc(likeness)
        return (row + _peak(likeness[:, column], row)) / RESOLUTION - REACH_UP


def _cut(
    grey: NDArray[np.uint8], frame: FaceFrame, box: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """The part of a picture within `box` of face coordinates, upright."""
    left, top, right, bottom = box
    x = np.arange(left, right, 1 / RESOLUTION)
    y = np.arange(top, bottom, 1 / RESOLUTION)
    at = frame.to_picture(np.stack(np.meshgrid(x, y), axis=-1)).astype(np.float32)
    cut = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _peak(values: NDArray[np.float32], highest: int) -> float:
    """Where between its neighbours the top of a curve lies that is sampled highest at `highest`."""
    if not 0 < highest < len(values) - 1:
        return 0.0
    before, top, after = (float(value) for value in values[highest - 1 : highest + 2])
    return 0.5 * (before - after) / (before - 2 * top + after)
