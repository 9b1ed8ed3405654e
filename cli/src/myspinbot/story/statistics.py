"""The whole log in numbers, counted event by event.

Memory does not grow with the log but for one small number for each job, which the quantiles need.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.envelope import Stored

from myspinbot.story.history import name_of, time_of, understood

LARGEST = 5
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(slots=True)
class Tally:
    """Events and the bytes of their bodies."""

    events: int = 0
    bytes: int = 0
    largest: int = 0

    def add(self, count: int) -> None:
        """One more event, of so many bytes."""
        self.events += 1
        self.bytes += count
        self.largest = max(self.largest, count)


@dataclass(slots=True)
class Day:
    """A day by UTC: its events and bytes, and the jobs that were asked for."""

    events: int = 0
    bytes: int = 0
    jobs: int = 0


@dataclass(slots=True)
class Statistics:
    """Counts of a log. `add` each event, then ask."""

    total: Tally = field(default_factory=Tally)
    types: dict[str, Tally] = field(default_factory=dict)
    days: dict[str, Day] = field(default_factory=dict)
    jobs: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """What is not understood, by why."""
    first: datetime | None = None
    last: datetime | None = None
    backwards: int = 0
    """Events that say an earlier time than the one before them in the log."""
    busiest: tuple[int, datetime] | None = None
    """The most events within one minute, and that minute."""
    _largest: list[tuple[int, int, str, str]] = field(default_factory=list)
    _minute: tuple[datetime, int] | None = None
    _previous: datetime | None = None

    def add(self, stored: Stored) -> None:
        """One more event, in the order of the log."""
        name, length = name_of(stored), len(stored.body)
        job = stored.headers.get("ce-subject", "?")
        self.total.add(length)
        self.types.setdefault(name, Tally()).add(length)
        self.jobs[job] += 1
        _, problem = understood(stored)
        if problem is not None:
            self.unknown[problem.partition(":")[0]] += 1
        item = (length, -stored.sequence, name, job)
        push = heapq.heappush if len(self._largest) < LARGEST else heapq.heappushpop
        push(self._largest, item)
        if (time := time_of(stored)) is not None:
            self._at(time.astimezone(UTC), name, length)

    def _at(self, time: datetime, name: str, length: int) -> None:
        day = self.days.setdefault(time.date().isoformat(), Day())
        day.events += 1
        day.bytes += length
        day.jobs += name == "JobRequested"
        self.backwards += self._previous is not None and time < self._previous
        self._previous = time
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)
        minute = time.replace(second=0, microsecond=0)
        count = self._minute[1] + 1 if self._minute and self._minute[0] == minute else 1
        self._minute = (minute, count)
        if self.busiest is None or count > self.busiest[0]:
            self.busiest = (count, minute)

    @property
    def length(self) -> timedelta:
        """From the first event to the last."""
        return self.last - self.first if self.first and self.last else timedelta()

    def per_job(self) -> dict[str, int]:
        """Quantiles of the events of a job, by nearest rank, and the most."""
        counts = sorted(self.jobs.values())
        if not counts:
            return {}
        ranks = {f"p{q * 100:g}": counts[math.ceil(q * len(counts)) - 1] for q in QUANTILES}
        return {**ranks, "max": counts[-1]}

    def largest(self) -> list[dict[str, Any]]:
        """The events with the largest bodies, the largest first."""
        return [
            {"bytes": length, "sequence": -negative, "type": name, "jobId": job}
            for length, negative, name, job in sorted(self._largest, reverse=True)
        ]

    def document(self) -> dict[str, Any]:
        """All of it as JSON: bytes of bodies, times by UTC, rates by second."""
        seconds = self.length.total_seconds()
        return {
            "events": self.total.events,
            "bytes": self.total.bytes,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "eventsPerSecond": self.total.events / seconds if seconds else None,
            "busiestMinute": (
                {"events": self.busiest[0], "at": self.busiest[1].isoformat()}
                if self.busiest
                else None
            ),
            "jobs": len(self.jobs),
            "eventsPerJob": self.per_job(),
            "types": {
                name: {"events": each.events, "bytes": each.bytes, "largest": each.largest}
                for name, each in sorted(self.types.items())
            },
            "days": {
                day: {"events": each.events, "bytes": each.bytes, "jobs": each.jobs}
                for day, each in sorted(self.days.items())
            },
            "largest": self.largest(),
            "unknown": dict(self.unknown),
            "backwards": self.backwards,
        }
