"""Token buckets: how often somebody may do something, with some at once.

(https://en.wikipedia.org/wiki/Token_bucket)
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from gateway.problems import Problem, ProblemKind

_CAPACITY = 10_000


class Buckets:
    """One bucket for each key; each holds `amount` and is refilled evenly within `period_s`.

    At most 10,000 keys are remembered, those seen last; one that was forgotten begins anew.
    """

    def __init__(
        self,
        amount: int,
        period_s: float,
        clock: Callable[[], float],
        capacity: int = _CAPACITY,
    ) -> None:
        """`amount` 0 is without limit; `clock` tells monotonic seconds."""
        self._amount = amount
        self._rate = amount / period_s
        self._clock = clock
        self._capacity = capacity
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> int:
        """0 if there was one left to take, else the seconds after which there will be."""
        if self._amount == 0:
            return 0
        now = self._clock()
        level, seen = self._levels.pop(key, (float(self._amount), now))
        level = min(level + (now - seen) * self._rate, float(self._amount))
        wait = 0 if level >= 1 else math.ceil((1 - level) / self._rate)
        self._levels[key] = (level if wait else level - 1, now)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        return wait


def limit(buckets: Buckets, key: str) -> None:
    """Problem (429) if the key has nothing left."""
    if wait_s := buckets.take(key):
        raise Problem(
            ProblemKind.RATE_LIMITED,
            "There were too many requests in a short time.",
            f"Go on in {wait_s} seconds, and then more slowly.",
            {"Retry-After": str(wait_s)},
        )
