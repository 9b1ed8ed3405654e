"""The picture around the face: its shape, where the head sits in it, and what fills it.

A portrait seldom has the shape that a video wants. What it shows is used as far as it goes. What
lacks is stretched out of the strip between head and edge, gently at the strip's inner border and
ever more towards the outside, while it gets blurred: walls and shoulders carry on, as out of focus.
A mirror image there shows the person a second time, and a repeated edge draws stripes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from gpu_runner.faces.crops import Area, crop_square, cut, portrait_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.params import Aspect
    from gpu_runner.faces.mesh import Mesh

Region: TypeAlias = tuple[int, int, int, int]

# How many face widths an upright picture is wide and a broad one high: the nearest and the farthest
# that are still a portrait. Within them the picture that lacks least is taken.
TALL_WIDTHS, WIDE_HEIGHTS = (1.75, 2.1), (1.8, 2.4)
# The height of the eyes, from the top: the one wanted, and the highest and lowest for the sake of
# hair that would be cut off or stretched otherwise.
EYE_LINE, HIGHEST_EYES, LOWEST_EYES = 0.36, 0.24, 0.44
# The strip that is stretched: at most this share of the picture, and clear of hair beside, above
# and below the face by these many face widths.
STRIP, HAIR_BESIDE, HAIR_ABOVE, THROAT = 0.25, 0.25, 0.45, 0.10
LEAST_STRIP = 8.0
# How evenly the stretch is spread: at 1 the picture's outermost line would never end.
SPREAD, STEEPEST = 0.8, 3.0
# The moving region reaches to an edge of the picture that is nearer than this share of its side.
SNAP = 0.03
# Blur of the filled parts where they are stretched most, as shares of the height.
BLURS = (0.004, 0.010, 0.022)
# Above 1 what is stretched little stays sharp.
SHARPNESS = 1.6


def dimensions(aspect: Aspect, short_side: int) -> tuple[int, int]:
    """Width and height in pixels, both even."""
    across, down = (int(part) for part in aspect.split(":"))
    unit = short_side / min(across, down)
    return 2 * round(across * unit / 2), 2 * round(down * unit / 2)


def compose_canvas(
    rgb: NDArray[np.uint8], mesh: Mesh, aspect: Aspect, short_side: int
) -> NDArray[np.uint8]:
    """The picture of the video (height, width, 3) at rest.

    Args:
        rgb: the portrait, of any shape.
        mesh: its face.
        aspect: the shape wanted. A square portrait that shall be square is only scaled.
        short_side: pixels of the shorter side, even.

    """
    if aspect == "1:1":
        return crop_square(rgb, mesh, short_side)
    width, height = dimensions(aspect, short_side)
    area = placement((rgb.shape[0], rgb.shape[1]), mesh, width / height)
    if area.left >= 0 and area.top >= 0 and _within(area, rgb):
        return cut(rgb, area, width, height)
    return _filled(rgb, mesh, area, (width, height))


def placement(shape: tuple[int, int], mesh: Mesh, ratio: float) -> Area:
    """The part of a picture of `shape` (height, width) that a frame of `ratio` (w/h) shows.

    It may reach beyond the picture. Space lacks below and beside the head rather than above it,
    where hair would be stretched.
    """
    real_height, real_width = shape
    if ratio < 1:
        least, most = (times * mesh.width / ratio for times in TALL_WIDTHS)
    else:
        least, most = (times * mesh.width for times in WIDE_HEIGHTS)
    height = float(np.clip(real_height, least, most))
    width = ratio * height
    eyes = float(mesh.points[[33, 263], 1].mean())
    if height <= real_height:
        top = min(max(0.0, eyes - EYE_LINE * height), real_height - height)
    else:
        top = max(0.0, eyes - LOWEST_EYES * height)
    top = min(top, eyes - HIGHEST_EYES * height)
    left = mesh.centre[0] - width / 2
    if width <= real_width:
        left = min(max(left, 0.0), real_width - width)
    return Area(left, top, left + width, top + height)


def moving_region(shape: tuple[int, int], mesh: Mesh) -> Region:
    """The part (left, top, right, bottom) of a canvas (height, width) in which anything moves."""
    height, width = shape
    square = portrait_square(shape, mesh)
    near = SNAP * square.width
    return (
        int(square.left) if square.left > near else 0,
        int(square.top) if square.top > near else 0,
        int(np.ceil(square.right)) if square.right < width - near else width,
        int(np.ceil(square.bottom)) if square.bottom < height - near else height,
    )


def _within(area: Area, rgb: NDArray[np.uint8]) -> bool:
    return area.right <= rgb.shape[1] and area.bottom <= rgb.shape[0]


def _filled(
    rgb: NDArray[np.uint8], mesh: Mesh, area: Area, size: tuple[int, int]
) -> NDArray[np.uint8]:
    width, height = size
    real_height, real_width = rgb.shape[:2]
    left, top, right, bottom = mesh.box
    face = mesh.width
    columns, along = _stretched(
        area.left + (np.arange(width) + 0.5) * area.width / width,
        real_width,
        left - HAIR_BESIDE * face,
        real_width - right - HAIR_BESIDE * face,
    )
    rows, down = _stretched(
        area.top + (np.arange(height) + 0.5) * area.height / height,
        real_height,
        top - HAIR_ABOVE * face,
        real_height - bottom - THROAT * face,
    )
    shrink = area.width / width
    source = rgb if shrink <= 1 else cv2.GaussianBlur(rgb, (0, 0), 0.4 * shrink)
    x, y = np.meshgrid(columns - 0.5, rows - 0.5)
    sharp = cv2.remap(
        source,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    stretch = np.hypot(1 - along[None, :], 1 - down[:, None]).clip(0.0, 1.0)
    return _blurred_by(sharp, stretch**SHARPNESS)


def _stretched(
    at: NDArray[np.float64], length: int, before: float, after: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each place comes from, and how much of the original scale is left there (0-1).

    Args:
        at: places along one axis, in pixels of the picture; some lie outside 0…`length`.
        length: the picture's side.
        before: how far the strip at the beginning may reach inwards.
        after: the same at the end.

    """
    source, scale = at.copy(), np.ones_like(at)
    widest = STRIP * length
    for lacking, room, forward in ((-at[0], before, False), (at[-1] - length, after, True)):
        if lacking <= 0:
            continue
        strip = float(np.clip(room, LEAST_STRIP, widest))
        inner = length - strip if forward else strip
        outward = at - inner if forward else inner - at
        here = outward > 0
        power = min(STEEPEST, 1 + SPREAD * strip / lacking)
        share = outward[here] / (strip + lacking)
        taken = outward[here] - lacking * share**power
        source[here] = inner + taken if forward else inner - taken
        scale[here] = 1 - lacking * power / (strip + lacking) * share ** (power - 1)
    return source, scale.clip(0.0, 1.0)


def _blurred_by(rgb: NDArray[np.float32], amount: NDArray[np.float64]) -> NDArray[np.uint8]:
    """`rgb` (height, width, 3), blurred at each pixel by `amount` (height, width) from 0 to 1."""
    levels = [rgb, *(cv2.GaussianBlur(rgb, (0, 0), share * rgb.shape[0]) for share in BLURS)]
    depth = amount * len(BLURS)
    mixed = np.zeros_like(rgb)
    for index, level in enumerate(levels):
        weight = (1 - np.abs(depth - index)).clip(0.0, 1.0).astype(np.float32)
        mixed += level * weight[..., None]
    return np.asarray(mixed.round().clip(0, 255), dtype=np.uint8)
