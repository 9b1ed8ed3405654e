"""Pictures made larger: by interpolation, or by a model that is shown one tile after the other.

A model's memory grows with what it is shown, so it never sees more than a tile. Tiles overlap by
more than a usual model looks around, and of each only its middle is kept: no seam is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from contracts.media import MAX_PICTURE_PIXELS
from PIL import Image

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the unsharp mask: its radius relative to the factor, and its weight at full sharpness.
RADIUS, WEIGHT = 0.6, 1.5
OVERLAP = 24


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture to keep, and the larger one to look at for it, in pixels."""

    keep: tuple[slice, slice]
    look: tuple[slice, slice]


def require_room(rgb: NDArray[np.uint8], factor: int) -> None:
    """See that the enlarged picture is not larger than other stages take.

    Raises:
        StageError: `picture-too-large`.

    """
    height, width = rgb.shape[:2]
    if height * width * factor**2 > MAX_PICTURE_PIXELS:
        raise StageError(
            "picture-too-large",
            f"{factor} times as large, a picture of {width} by {height} would have more than "
            f"{MAX_PICTURE_PIXELS // 1_000_000} million pixels",
            "Choose a smaller factor, or use the picture as it is.",
        )


def lanczos(rgb: NDArray[np.uint8], factor: int, sharpness: float) -> NDArray[np.uint8]:
    """`rgb` (h, w, 3) at (factor * h, factor * w, 3), sharpened by `sharpness` 0-1.

    No pixel leaves the range of those around its place in `rgb`: interpolation and sharpening
    would both leave rims of light along dark edges.
    """
    height, width = rgb.shape[:2]
    size = (factor * width, factor * height)
    large = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
    soft = cv2.GaussianBlur(large, (0, 0), RADIUS * factor)
    weight = WEIGHT * sharpness
    sharp = cv2.addWeighted(large, 1 + weight, soft, -weight, 0)
    around = np.ones((3, 3), np.uint8)
    low, high = (
        edge.repeat(factor, axis=0).repeat(factor, axis=1)
        for edge in (cv2.erode(rgb, around), cv2.dilate(rgb, around))
    )
    return np.asarray(np.clip(sharp, low, high), np.uint8)


def tiles(height: int, width: int, side: int) -> Iterator[Tile]:
    """Parts of at most `side` by `side` pixels that cover a picture, each pixel kept once."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            bottom, right = min(top + side, height), min(left + side, width)
            yield Tile(
                (slice(top, bottom), slice(left, right)),
                (
                    slice(max(0, top - OVERLAP), min(height, bottom + OVERLAP)),
                    slice(max(0, left - OVERLAP), min(width, right + OVERLAP)),
                ),
            )


def by_tiles(
    rgb: NDArray[np.uint8],
    side: int,
    times: int,
    enlarge: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    told: Callable[[int, int], None],
) -> NDArray[np.uint8]:
    """`rgb` (h, w, 3) by a model that makes (times * h, times * w, 3) of what it is shown.

    `told` gets how many tiles are done, and of how many.
    """
    height, width = rgb.shape[:2]
    large = np.empty((times * height, times * width, 3), np.uint8)
    every = list(tiles(height, width, side))
    for number, tile in enumerate(every, start=1):
        made = enlarge(rgb[tile.look])
        within = (
            slice(times * (keep.start - look.start), times * (keep.stop - look.start))
            for keep, look in zip(tile.keep, tile.look, strict=True)
        )
        place = (slice(times * keep.start, times * keep.stop) for keep in tile.keep)
        large[tuple(place)] = made[tuple(within)]
        told(number, len(every))
    return large


def at_factor(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """`rgb` at (height, width, 3), whichever way that is, for a model of another factor."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))
