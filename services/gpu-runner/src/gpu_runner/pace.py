"""From raw counts to a fraction, a rate and the time that remains. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

_WINDOW_S = 20.0


@dataclass(slots=True)
class Pace:
    """The pace of a running stage, from the counts of the last seconds."""

    _marks: list[tuple[float, float, float]] = field(default_factory=list)

    def mark(self, now_s: float, done: float, total: float) -> None:
        """`done` of `total` at a time of a clock that never goes back, in seconds."""
        if self._marks and (done < self._marks[-1][1] or total != self._marks[-1][2]):
            # Another phase of the same stage, with its own counts.
            self._marks.clear()
        self._marks.append((now_s, done, total))
        while len(self._marks) > 2 and now_s - self._marks[0][0] > _WINDOW_S:
            self._marks.pop(0)

    @property
    def rate(self) -> float | None:
        """Units per second, or None while there is nothing to tell it by."""
        if len(self._marks) < 2:
            return None
        (start, first, _), (end, last, _) = self._marks[0], self._marks[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until all is done at this rate."""
        if not self._marks or self.rate is None:
            return None
        _, done, total = self._marks[-1]
        return max(total - done, 0.0) / self.rate
