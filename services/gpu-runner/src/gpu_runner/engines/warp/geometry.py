"""Where things are on the portrait's face, in coordinates that fit the face.

Face coordinates have their origin at the middle of the lips' contact line, x along the line
through the eyes, y down, and the distance of the outer eye corners as unit. So one set of numbers
serves every portrait, however large or tilted the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.faces.mesh import CHIN, EYE_LEFT, EYE_RIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows of mesh points across the lips, from the image's left to its right, outermost row first.
UPPER_LIP = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)
LOWER_LIP = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
# From the forehead down to the chin at the image's right, and up again at its left.
_OVAL_DOWN = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400)
_OVAL_UP = (
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
)
OVAL = (*_OVAL_DOWN, *_OVAL_UP)
NOSE_BASE = 2
# Lips part over this share of the mouth: at its corners they stay joined.
APERTURE = 0.92


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """The map between picture and face coordinates.

    `origin` is (2,) in pixels, `axes` (2, 2) holds the unit vectors of x and y as columns, in
    pixels per outer-eye distance.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    @property
    def unit(self) -> float:
        """Pixels per outer-eye distance."""
        return float(np.linalg.norm(self.axes[:, 0]))

    def to_face(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Picture points (…, 2) in face coordinates."""
        return (points - self.origin) @ np.linalg.inv(self.axes).T

    def to_picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Face points (…, 2) in picture coordinates."""
        return points @ self.axes.T + self.origin

    def grid(self, shape: tuple[int, int], step: float = 1.0) -> NDArray[np.float64]:
        """Face coordinates (rows, columns, 2) of every `step`th pixel of a picture."""
        rows, columns = (int(np.ceil(length / step)) for length in shape)
        x, y = np.meshgrid(np.arange(columns) * step, np.arange(rows) * step)
        return self.to_face(np.stack([x, y], axis=-1))


def face_frame(points: NDArray[np.float64]) -> FaceFrame:
    """The frame of a mesh (468, 2+), with its origin between the inner lips."""
    across = points[EYE_RIGHT, :2] - points[EYE_LEFT, :2]
    origin = points[[UPPER_LIP[3][5], LOWER_LIP[3][5]], :2].mean(axis=0)
    return FaceFrame(origin, np.array([[across[0], -across[1]], [across[1], across[0]]]))


@dataclass(frozen=True, slots=True)
class Mouth:
    """The closed mouth, in face coordinates.

    `left` and `right` are the corners' x, `contact` the coefficients (5,) of the contact line
    y(x), highest power first. `upper_height` and `lower_height` are the lips' thicknesses at the
    middle, `chin` the chin's y, `nose` the nose's base (negative).
    """

    left: float
    right: float
    contact: NDArray[np.float64]
    upper_height: float
    lower_height: float
    chin: float
    nose: float

    @property
    def middle(self) -> float:
        """The x halfway between the corners."""
        return (self.left + self.right) / 2

    @property
    def half_width(self) -> float:
        """Half the distance of the corners."""
        return (self.right - self.left) / 2

    def across(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place along the mouth: -1 at the left corner, 1 at the right one."""
        return (x - self.middle) / self.half_width

    def parting(self, across: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the opening at places along the mouth: 1 in the middle, 0 at the corners."""
        return (1 - (across / APERTURE) ** 2).clip(0.0, 1.0)

    def below_contact(self, face_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far points (…, 2) lie below the contact line (negative: above).

        Beyond the corners the line goes on level.
        """
        x = face_points[..., 0].clip(self.left, self.right)
        return face_points[..., 1] - np.polyval(self.contact, x)


def closed_mouth(frame: FaceFrame, points: NDArray[np.float64]) -> Mouth:
    """The mouth of a mesh (468, 2+) whose lips touch, contact line halfway between inner lips."""
    face = frame.to_face(points[:, :2])
    upper, lower = face[list(UPPER_LIP[3])], face[list(LOWER_LIP[3])]
    line = (upper + lower) / 2
    left, right = (float(face[i, 0] * 0.6 + face[j, 0] * 0.4) for i, j in ((61, 78), (291, 308)))
    middle = np.polyval(np.polyfit(line[:, 0], line[:, 1], 4), (left + right) / 2)
    return Mouth(
        left=left,
        right=right,
        contact=np.polyfit(line[:, 0], line[:, 1], 4),
        upper_height=max(0.02, float(middle - face[UPPER_LIP[0][5], 1])),
        lower_height=max(0.02, float(face[LOWER_LIP[0][5], 1] - middle)),
        chin=float(face[CHIN, 1]),
        nose=float(face[NOSE_BASE, 1]),
    )


def snap_contact(rgb: NDArray[np.uint8], frame: FaceFrame, mouth: Mouth) -> NDArray[np.float64]:
    """Contact line coefficients (5,) moved to the dark line that the picture shows between lips.

    The mesh is off by a pixel or two there, which would tear the line apart. The darkest smooth
    path within ±0.045 is found by dynamic programming and fitted with a polynomial of degree 4.
    """
    columns = np.linspace(mouth.left * 0.94, mouth.right * 0.94, 61)
    offsets = np.linspace(-0.045, 0.045, 61)
    base = np.polyval(mouth.contact, columns)
    where = np.stack(np.broadcast_arrays(columns[None, :], base + offsets[:, None]), axis=-1)
    at = frame.to_picture(where).astype(np.float32)
    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 0.012 * frame.unit)
    band = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR).astype(np.float64)
    # A line is darker than what is above and below it; a shaded lip is darker than one side only.
    away = cv2.GaussianBlur(band, (0, 0), sigmaX=0.1, sigmaY=9.0, borderType=cv2.BORDER_REPLICATE)
    darkness = (away - band) / max(float(np.std(band)), 1.0) - 0.12 * (offsets[:, None] / 0.03) ** 2
    path = smoothest_path(darkness)
    strength = np.maximum(darkness[path, np.arange(len(columns))], 0.02)
    return np.polyfit(columns, base + offsets[path], 4, w=np.sqrt(strength))


def smoothest_path(gain: NDArray[np.float64], penalty: float = 0.35) -> NDArray[np.intp]:
    """Row per column of `gain` (rows, columns) with the largest sum less `penalty` a row moved."""
    rows, columns = gain.shape
    jump = penalty * np.abs(np.arange(rows)[:, None] - np.arange(rows)[None, :])
    best, back = gain[:, 0], np.zeros((rows, columns), np.intp)
    for column in range(1, columns):
        options = best[None, :] - jump
        back[:, column] = options.argmax(axis=1)
        best = options.max(axis=1) + gain[:, column]
    path = np.empty(columns, np.intp)
    path[-1] = best.argmax()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = back[path[column], column]
    return path


def smoothstep(low: float, high: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zero up to `low`, one from `high` on, cubic between them."""
    ramp = ((value - low) / (high - low)).clip(0.0, 1.0)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))
