"""Pattern search: climbs a function of a few numbers that is slow and has no gradient.

Hooke and Jeeves 1961 ("direct search"): try a step up and down each axis, keep what is
better, repeat the direction that helped, halve the steps when nothing does. It needs no
random numbers, so a fit can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """One number to search: its limits and the first step."""

    low: float
    high: float
    step: float

    def moved(self, value: float, steps: float) -> float:
        return min(self.high, max(self.low, value + steps * self.step))


@dataclass(frozen=True, slots=True)
class Best:
    """The highest value found, where, and how many points were tried."""

    point: Point
    value: float
    tries: int


def climb(
    score: Callable[[Point], float],
    starts: Sequence[Point],
    axes: Sequence[Axis],
    tries: int,
    finest: float = 0.125,
) -> Best:
    """Find a high point of `score` with at most `tries` evaluations.

    Every one of `starts` is tried first and the best is climbed from, until the steps are
    `finest` of what they were. No point is evaluated twice.
    """
    known: dict[Point, float] = {}

    def value(point: Point) -> float:
        if point not in known:
            if len(known) >= tries:
                return float("-inf")
            known[point] = score(point)
        return known[point]

    best = max(starts[:tries], key=value)
    scale = 1.0
    while len(known) < tries and scale >= finest:
        origin = best
        for index, axis in enumerate(axes):
            for direction in (scale, -scale):
                moved = axis.moved(best[index], direction)
                candidate = (*best[:index], moved, *best[index + 1 :])
                if value(candidate) > known[best]:
                    best = candidate
                    break
        if best == origin:
            scale /= 2.0
            continue
        further = tuple(
            min(axis.high, max(axis.low, 2 * new - old))
            for axis, new, old in zip(axes, best, origin, strict=True)
        )
        if value(further) > known[best]:
            best = further
    return Best(best, known[best], len(known))
