"""Shapes that pictures are learned in: near each one's own, of about the base's area.

A batch has one shape, so pictures are sorted into few shapes, as NovelAI described it
(https://github.com/NovelAI/novelai-aspect-ratio-bucketing): no side is longer than twice the
other, and none is cut more than to the nearest of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

LONGEST = 2.0
"""Of the sides of a shape, the longer one against the shorter."""


class Shape(NamedTuple):
    """Height and width of a picture in pixels."""

    height: int
    width: int

    @property
    def ratio(self) -> float:
        """Width against height."""
        return self.width / self.height


def shapes_for(side: int, grid: int) -> tuple[Shape, ...]:
    """Shapes of at most `side` squared pixels, from upright to wide; all sides are on `grid`.

    For each width the tallest; the square is always among them.
    """
    narrowest = math.ceil(side / math.sqrt(LONGEST) / grid) * grid
    widths = range(narrowest, math.floor(side * math.sqrt(LONGEST) / grid) * grid + 1, grid)
    found = [Shape(side * side // width // grid * grid, width) for width in widths]
    return tuple(one for one in found if 1 / LONGEST <= one.ratio <= LONGEST)


def nearest(shape: Shape, among: Iterable[Shape]) -> Shape:
    """The one of which the least is cut off, and of several the largest."""
    return min(
        among,
        key=lambda one: (
            round(abs(math.log(one.ratio / shape.ratio)), 6),
            -one.height * one.width,
        ),
    )


def sort_into(shapes: Iterable[Shape]) -> Mapping[Shape, list[int]]:
    """The places at which each shape stands, in the order of first appearance."""
    buckets: dict[Shape, list[int]] = {}
    for place, shape in enumerate(shapes):
        buckets.setdefault(shape, []).append(place)
    return buckets
