"""Squares in and contact sheets out: the pictures around training and sampling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gpu_runner.engines.diffusion.buckets import Shape
from gpu_runner.engines.diffusion.components import Rgb
from gpu_runner.faces.crop_files import read_scene
from gpu_runner.faces.scenes import Scene
from gpu_runner.stage import StageError

FLAT = 2
"""Grey levels within which a picture shows nothing: what is drawn always has some grain."""


def read_square(path: Path) -> Rgb:
    """The face's square of the picture at `path` as RGB uint8: see `read_scene`.

    Raises:
        OSError: not a picture.

    """
    return read_scene(path).face


def cut_to(scene: Scene, shape: Shape) -> Rgb:
    """The largest part of a scene that has the ratio of `shape`, with the face in its middle.

    Or as near to that as the scene's edges let it be.
    """
    height, width = scene.rgb.shape[:2]
    wide = min(width, round(height * shape.ratio))
    high = min(height, round(width / shape.ratio))
    half = scene.side // 2
    left = min(max(0, scene.left + half - wide // 2), width - wide)
    top = min(max(0, scene.top + half - high // 2), height - high)
    return scene.rgb[top : top + high, left : left + wide]


def shrink(picture: Rgb, side: int) -> Rgb:
    """`picture` averaged down to [side, side, 3]."""
    return _resized(picture, side, side, Image.Resampling.BOX)


def enlarge(picture: Rgb, side: int) -> Rgb:
    """`picture` scaled up smoothly to [side, side, 3]."""
    return _resized(picture, side, side, Image.Resampling.BICUBIC)


def resize(picture: Rgb, side: int) -> Rgb:
    """`picture` at [side, side, 3], whichever way that is."""
    return fit(picture, Shape(side, side))


def fit(picture: Rgb, shape: Shape) -> Rgb:
    """`picture` at the height and width of `shape`, whichever way that is."""
    if picture.shape[:2] == shape:
        return picture
    smaller = picture.shape[0] > shape.height
    method = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return _resized(picture, shape.width, shape.height, method)


def _resized(picture: Rgb, width: int, height: int, method: Image.Resampling) -> Rgb:
    # Not by OpenCV: nothing else of a training needs it, and it takes 15 MB to load.
    return np.asarray(Image.fromarray(picture).resize((width, height), method), np.uint8)


def inner(picture: Rgb, zoom: float) -> Rgb:
    """The middle of a square, `zoom` times as near."""
    side = picture.shape[0]
    margin = round(side * (1 - 1 / zoom) / 2)
    return picture[margin : side - margin, margin : side - margin]


def contact_sheet(rows: Sequence[Sequence[Rgb]], tile: int) -> Rgb:
    """Rows of pictures as one, each enlarged to `tile` pixels; short rows are filled with white."""
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * tile, columns * tile, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile] = enlarge(picture, tile)
    return sheet


def require_drawn(pictures: Sequence[Rgb]) -> None:
    """See that something is in each picture, since overflown numbers become one black area.

    Raises:
        StageError: `nothing-drawn`.

    """
    blank = sum(1 for one in pictures if np.ptp(one.astype(np.int16), axis=(0, 1)).max() <= FLAT)
    if blank:
        raise StageError(
            "nothing-drawn",
            f"{blank} of {len(pictures)} pictures came out in one colour, as when numbers of the"
            " LoRA are too large for the base",
            "Train the person again with a lower learning rate, in precision fp32 if it was fp16",
        )


def write_png(path: Path, picture: Rgb) -> Path:
    """Write `picture` and return `path`."""
    Image.fromarray(picture).save(path)
    return path
