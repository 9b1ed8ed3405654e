"""From where somebody is seen: what of a figure is where in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrain.people.figure import Points
from pretrain.people.traits import Traits

SIDE = 128
"""Pixels of a picture's side before it is scaled down, two for each that stays."""
MIDDLE = np.array([0.0, -0.5, -0.9], np.float32)
"""The middle of a face, from between the eyes, in distances of the eyes."""
FACE_WIDTH = 2.05
"""From cheek to cheek, as a face's mesh is wide, in distances of the eyes."""
RISE = 0.06
"""How far above the middle of the picture the face is, as in the crops of users' photos."""
DISTANCE = 14.0
"""Of the camera from the face, in decimetres."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera that looks at `middle` [3] of a figure turned by `turn` [3, 3].

    `scale` is in pixels for a decimetre at the face.
    """

    middle: Points
    turn: Points
    scale: float

    @staticmethod
    def of(eyes: Points, who: Traits) -> View:
        """The view of somebody whose eyes' vertices are `eyes` [n, 3]."""
        right = eyes[:, 0] > 0
        apart = float(np.linalg.norm(eyes[right].mean(axis=0) - eyes[~right].mean(axis=0)))
        middle = eyes.mean(axis=0) + MIDDLE * apart
        return View(middle, _rotation(*who.turn), SIDE / (FACE_WIDTH * apart * who.zoom))

    def turned(self, points: Points) -> Points:
        """Points as the camera sees them: x to its right, y up, z towards it."""
        return rotated(points - self.middle, self.turn)

    def places(self, turned: Points) -> Points:
        """Where points that are turned are in the picture [n, 2], in pixels."""
        nearness = self.scale * DISTANCE / (DISTANCE - turned[:, 2])
        return np.stack(
            [SIDE / 2 + turned[:, 0] * nearness, SIDE * (0.5 - RISE) - turned[:, 1] * nearness],
            axis=1,
        )


def rotated(vectors: Points, turn: Points) -> Points:
    """Vectors [n, 3] turned by a matrix [3, 3]; for so narrow ones BLAS is slower."""
    return np.asarray(np.einsum("nk,jk->nj", vectors, turn), np.float32)


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float32]:
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, np.float32)
