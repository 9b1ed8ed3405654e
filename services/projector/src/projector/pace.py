"""How far a long way along the log is: told now and then, with the speed and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """Where it is. `events_per_s` is since the start; `eta_s` is None while nobody can tell."""

    position: int
    end: int
    events_per_s: float
    eta_s: float | None


Tell = Callable[[Step], None]


def silent(_: Step) -> None:
    """For callers that need not hear of the progress."""


@dataclass(slots=True)
class Pace:
    """Tells of steps, at most two a second, and of the last one."""

    tell: Tell
    start: int
    now: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()
        self._told = self._began - _EVERY_S

    def reached(self, position: int, end: int) -> None:
        """It is now at `position` on its way to `end`."""
        now = self.now()
        if now - self._told < _EVERY_S and position < end:
            return
        self._told = now
        passed = now - self._began
        speed = (position - self.start) / passed if passed > 0 else 0.0
        left = (end - position) / speed if speed > 0 else None
        self.tell(Step(position, end, speed, left))

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.now() - self._began
