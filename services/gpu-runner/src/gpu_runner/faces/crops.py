"""From a user's photos to square portraits of one face each.

This is the part of `prepare_dataset` that looks at pictures. Every photo must show exactly one
person; all photos are looked at before anything is refused, so that one answer names them all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.faces.mesh import Mesh, find_meshes
from gpu_runner.media.pictures import decode_picture, write_picture
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CROP_SIDE = 512
# A crop is this many face widths wide: the whole head with hair, the neck and some shoulder.
FACE_WIDTHS = 2.5
# The face sits a little above the middle, as in a portrait.
RISE = 0.06
MIN_FACE_WIDTH = 48.0
# Another face this wide, against the widest, is a second person and not a passer-by.
SECOND_PERSON = 0.4


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
class PreparedPhoto:
    """A finished crop: `number` is the photo's place in the input, counted from 1."""

    number: int
    path: Path
    quality: PhotoQuality

    def metrics(self) -> dict[str, float]:
        """The quality as plain JSON, without any path."""
        return {"number": self.number} | {
            name: round(value, 4) for name, value in asdict(self.quality).items()
        }


def prepare_photos(
    paths: Sequence[Path],
    out_dir: Path,
    on_photo: Callable[[int, int], None] | None = None,
) -> list[PreparedPhoto]:
    """Find the face in each photo and write 512x512 crops, the best first.

    Args:
        paths: the photos, in the user's order.
        out_dir: existing folder for `crop-01.png`, `crop-02.png` …, numbered by rank.
        on_photo: called with (photos done, photos in all).

    Returns:
        One entry per photo, ordered by quality: frontal, sharp and large first.

    Raises:
        StageError: `picture-unreadable`, `picture-too-large`, `no-face`, `several-faces` or
            `face-too-small`; the code is that of the first bad photo, the cause lists them all.

    """
    ranked: list[tuple[float, int, PhotoQuality, NDArray[np.uint8]]] = []
    refused: list[StageError] = []
    for number, path in enumerate(paths, start=1):
        try:
            rgb = decode_picture(path, f"photo {number}")
            mesh = only_face(rgb, f"photo {number}")
            quality = judge(rgb, mesh)
            ranked.append((quality.score, number, quality, crop_portrait(rgb, mesh)))
        except StageError as error:
            refused.append(error)
        if on_photo:
            on_photo(number, len(paths))
    if refused:
        raise _all_in_one(refused)
    ranked.sort(key=lambda entry: (-entry[0], entry[1]))
    return [
        PreparedPhoto(number, write_picture(out_dir / f"crop-{rank:02}.png", crop), quality)
        for rank, (_, number, quality, crop) in enumerate(ranked, start=1)
    ]


def only_face(rgb: NDArray[np.uint8], label: str) -> Mesh:
    """The one face in `rgb` (height, width, 3), or a `StageError` that names the photo."""
    meshes = _faces(rgb, label)
    people = [mesh for mesh in meshes if mesh.width >= SECOND_PERSON * meshes[0].width]
    if len(people) > 1:
        raise StageError(
            "several-faces",
            f"{label} shows {len(people)} faces",
            "Crop the photo to one person, or leave it out.",
        )
    return _large_enough(meshes[0], label)


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
    """Cut a square of `widths` face widths around the face and scale it to (side, side, 3).

    Where the picture is too small the square shrinks to fit, but never below 1.7 face widths;
    what is then still missing is continued from the picture's edge.
    """
    height, width = rgb.shape[:2]
    want = widths * mesh.width
    extent = max(min(want, float(min(width, height))), min(want, 1.7 * mesh.width))
    cx, cy = mesh.centre
    left = _fit(cx - extent / 2, extent, width)
    top = _fit(cy - extent * (0.5 - RISE), extent, height)
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    x1, y1 = int(np.ceil(left + extent)), int(np.ceil(top + extent))
    inside = rgb[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    margins = (max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width))
    if any(margins):
        inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE).astype(np.uint8)
    shrinking = inside.shape[0] > side
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return cv2.resize(inside, (side, side), interpolation=method).astype(np.uint8)


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


def _all_in_one(errors: Sequence[StageError]) -> StageError:
    if len(errors) == 1:
        return errors[0]
    remedies = dict.fromkeys(error.remedy for error in errors)
    return StageError(
        errors[0].code, "; ".join(error.cause for error in errors), " ".join(remedies)
    )
