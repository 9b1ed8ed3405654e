"""What one reader is told of a job: its events in order, each once, and its lines as they come.

A reader that falls behind costs a bounded number of bytes. What it may not have waiting is
either read from the log once it gets there, or left out, and it is told what is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from eventlog.log import EventLog

from gateway.live.job import LiveJob
from gateway.live.told import Told, told_event

CLIENT_BYTES = 256 * 1024
"""How much of events and lines may wait for one client."""
_PAGE = 200
_PAGE_BYTES = 64 * 1024


@dataclass(slots=True)
class Budget:
    """Bytes that may wait for one client."""

    most: int
    used: int = 0

    def take(self, size: int) -> bool:
        """Whether there was room."""
        if self.used + size > self.most:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """What was taken is not needed any more."""
        self.used -= size


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after one sequence and before another were left out."""

    job: str
    after: int
    before: int


@dataclass(eq=False, slots=True)
class Feed:
    """The events of `live` after `cursor`. Call `open` first and `close` last."""

    log: EventLog
    live: LiveJob
    cursor: int
    """The last event that was handed out, left out, or waits."""
    stirred: Callable[[], None]
    """Is called when there is something to take."""
    budget: Budget
    skips: bool
    """Whether events that find no room are left out, and not read from the log later."""
    behind: bool = True
    """Whether what comes after the cursor has to be read from the log."""
    _given: int = 0
    _left_out: bool = False
    _waiting: deque[Told] = field(default_factory=deque)

    def open(self) -> None:
        """Listen."""
        self._given = self.cursor
        self.live.followers.add(self._told)

    def close(self) -> None:
        """Stop listening."""
        self.live.followers.discard(self._told)
        self._drop()

    @property
    def ready(self) -> bool:
        """Whether `take` has something to do."""
        return self.behind or self._left_out or bool(self._waiting)

    async def take(self) -> list[Told | Gap]:
        """The next events, if there are any. Raises UnavailableError if the log is away."""
        if self.behind:
            events, more = await self.log.read_page(self.live.job, self.cursor, _PAGE, _PAGE_BYTES)
            if events:
                self._given = self.cursor = events[-1].sequence
            # While the page was read the job may have moved on; that is in the log as well.
            self.behind = more or self.cursor < self.live.state.sequence
            return [told_event(recorded) for recorded in events]
        taken: list[Told | Gap] = []
        if self._left_out:
            before = self._waiting[0].place if self._waiting else self.cursor + 1
            taken.append(Gap(self.live.job, self._given, before))
            self._left_out = False
        taken += self._waiting
        self._drop()
        self._given = self.cursor
        return taken

    def _told(self, told: Told) -> None:
        if self.behind or told.place <= self.cursor:
            return
        if self.budget.take(len(told.text)):
            self._waiting.append(told)
            self.cursor = told.place
        elif self.skips:
            self._drop()
            self._left_out = True
            if self.budget.take(len(told.text)):
                self._waiting.append(told)
            self.cursor = told.place
        else:
            self._drop()
            self.cursor, self.behind = self._given, True
        self.stirred()

    def _drop(self) -> None:
        self.budget.give(sum(len(told.text) for told in self._waiting))
        self._waiting.clear()


@dataclass(eq=False, slots=True)
class Lines:
    """Lines that wait for one reader. Those that find no room are left out and counted."""

    budget: Budget
    _waiting: deque[Told] = field(default_factory=deque)
    _left_out: dict[str, int] = field(default_factory=dict)

    def add(self, told: Told) -> None:
        """One more line."""
        if self.budget.take(len(told.text)):
            self._waiting.append(told)
        else:
            self._left_out[told.job] = self._left_out.get(told.job, 0) + 1

    def take(self) -> tuple[list[Told], dict[str, int]]:
        """What waits, and by job how many were left out since."""
        taken, left_out = list(self._waiting), self._left_out
        self.budget.give(sum(len(told.text) for told in taken))
        self._waiting.clear()
        self._left_out = {}
        return taken, left_out

    def forget(self, job: str) -> None:
        """Leave out what waits of one job, without a word."""
        kept = [told for told in self._waiting if told.job != job]
        self.budget.give(sum(len(told.text) for told in self._waiting if told.job == job))
        self._waiting = deque(kept)
        self._left_out.pop(job, None)
