"""Square portraits cut from pictures: where a face is, how good it is, and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.faces.detector import overlap
from gpu_runner.faces.mesh import Mesh, find_meshes
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROP_SIDE = 512
# A crop is this many face widths wide: the whole head with hair, the neck and some shoulder.
FACE_WIDTHS = 2.5
# The nearest crop that still has all of the head.
LEAST_WIDTHS = 1.7
# The face sits a little above the middle, as in a portrait.
RISE = 0.06
MIN_FACE_WIDTH = 48.0
# Another face this wide, against the widest, is a second person and not a passer-by.
SECOND_PERSON = 0.4
# A crop shows somebody else, too, from this share of their face on.
FOREIGN = 0.15


@dataclass(frozen=True, slots=True)
class PhotoQuality:
    """How useful a photo is.

    `width` is the face's width in pixels of the photo, `yaw` its turn in degrees (0 is frontal),
    `sharpness` the share of detail that survives against a blurred copy (about 0.02 for a soft
    face, 0.1 for a sharp one), `score` the 0-1 number by which photos are ordered.
    """

    width: float
    yaw: float
    sharpness: float
    score: float


@dataclass(frozen=True, slots=True)
class Area:
    """What is taken of a picture, in its pixels; it may reach beyond the edges."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top

    def shows(self, mesh: Mesh) -> bool:
        """Whether a good part of this face is inside."""
        return overlap(mesh.box, (self.left, self.top, self.right, self.bottom)) > FOREIGN


def people_in(rgb: NDArray[np.uint8], label: str) -> list[Mesh]:
    """The faces in `rgb` (height, width, 3) that are no passers-by, the widest first.

    Raises:
        StageError: `no-face`, `face-too-small`.

    """
    meshes = _faces(rgb, label)
    widest = _large_enough(meshes[0], label)
    return [mesh for mesh in meshes if mesh.width >= SECOND_PERSON * widest.width]


def widest_face(rgb: NDArray[np.uint8], label: str) -> Mesh:
    """The largest face in `rgb`, whoever else is seen, or a `StageError` that names the picture."""
    return _large_enough(_faces(rgb, label)[0], label)


def _faces(rgb: NDArray[np.uint8], label: str) -> list[Mesh]:
    meshes = find_meshes(rgb)
    if not meshes:
        raise StageError(
            "no-face",
            f"{label} shows no face",
            "Use a picture in which the face is visible from the front and well lit.",
        )
    return meshes


def _large_enough(mesh: Mesh, label: str) -> Mesh:
    if mesh.width < MIN_FACE_WIDTH:
        raise StageError(
            "face-too-small",
            f"the face in {label} is only {mesh.width:.0f} pixels wide",
            f"Use a picture whose face is at least {MIN_FACE_WIDTH:.0f} pixels wide.",
        )
    return mesh


def judge(rgb: NDArray[np.uint8], mesh: Mesh) -> PhotoQuality:
    """Measure how useful the face `mesh` in `rgb` (height, width, 3) is."""
    sharpness = _sharpness(rgb, mesh)
    frontal = max(0.0, 1 - abs(mesh.yaw) / 60)
    large = min(1.0, mesh.width / 200)
    sharp = min(1.0, sharpness / 0.06)
    score = frontal * (0.5 + 0.5 * sharp) * (0.5 + 0.5 * large)
    return PhotoQuality(mesh.width, mesh.yaw, sharpness, score)


def crop_portrait(
    rgb: NDArray[np.uint8], mesh: Mesh, side: int = CROP_SIDE, widths: float = FACE_WIDTHS
) -> NDArray[np.uint8]:
    """Cut `portrait_square` and scale it to (side, side, 3), as `cut` does."""
    height, width = rgb.shape[:2]
    return cut(rgb, portrait_square((height, width), mesh, widths), side, side)


def cut(rgb: NDArray[np.uint8], area: Area, wide: int, high: int) -> NDArray[np.uint8]:
    """What `area` takes of a picture, scaled to (high, wide, 3).

    What it takes from beyond the picture is continued from the picture's edge.
    """
    height, width = rgb.shape[:2]
    x0, y0 = int(np.floor(area.left)), int(np.floor(area.top))
    x1, y1 = int(np.ceil(area.right)), int(np.ceil(area.bottom))
    inside = rgb[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    margins = (max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width))
    if any(margins):
        inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE).astype(np.uint8)
    method = cv2.INTER_AREA if inside.shape[0] > high else cv2.INTER_CUBIC
    return cv2.resize(inside, (wide, high), interpolation=method).astype(np.uint8)


def portrait_square(shape: tuple[int, int], mesh: Mesh, widths: float = FACE_WIDTHS) -> Area:
    """The square of `widths` face widths around a face, in a picture of `shape` (height, width).

    Where the picture is too small the square shrinks to fit, but never below `LEAST_WIDTHS`.
    """
    height, width = shape
    want = widths * mesh.width
    extent = max(min(want, float(min(width, height))), min(want, LEAST_WIDTHS * mesh.width))
    cx, cy = mesh.centre
    left = _fit(cx - extent / 2, extent, width)
    top = _fit(cy - extent * (0.5 - RISE), extent, height)
    return Area(left, top, left + extent, top + extent)


def crop_square(rgb: NDArray[np.uint8], mesh: Mesh, side: int) -> NDArray[np.uint8]:
    """`rgb` as (side, side, 3): only scaled when it is square already, else cut around the face."""
    height, width = rgb.shape[:2]
    if height != width:
        return crop_portrait(rgb, mesh, side)
    method = cv2.INTER_AREA if width > side else cv2.INTER_CUBIC
    return cv2.resize(rgb, (side, side), interpolation=method).astype(np.uint8)


def _fit(start: float, extent: float, length: int) -> float:
    """Shift the span so that it lies inside 0…length, or centre it when it cannot."""
    if extent >= length:
        return (length - extent) / 2
    return min(max(start, 0.0), length - extent)


def _sharpness(rgb: NDArray[np.uint8], mesh: Mesh) -> float:
    """Energy of fine detail on the face against its contrast, at a common face size."""
    face = crop_portrait(rgb, mesh, side=192, widths=1.1)
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.2)
    return float(fine.std() / max(float(grey.std()), 1.0))
