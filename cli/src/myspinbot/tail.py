"""The job log as it grows: which events are wanted, and where reading ends."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from contracts.envelope import Stored
from contracts.events import JobRequested
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.index import sequence_before
from eventlog.log import EventLog
from eventlog.reader import EVERYTHING, read_stored_log
from rich.text import Text

from contracts import subjects
from myspinbot.joblog import broker_of
from myspinbot.screen import hint, interactive, out, plain
from myspinbot.story.history import name_of, time_of, understood
from myspinbot.story.sentences import colour, sentence

__all__ = ["Tail", "Wanted", "broker_of"]

_OWNERS = 10_000
# By how much the clock of who tells an event may be ahead of the broker's.
_SKEW = timedelta(minutes=10)
_NARROW = 120
_SHORT_JOB = 14


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted: all of them, unless something is said here.

    `since` is a sequence after which to begin, or the earliest time; `until` is the last
    sequence, or the latest time.
    """

    job: str | None = None
    types: tuple[str, ...] = ()
    owner: str | None = None
    since: int | datetime = 0
    until: int | datetime | None = None

    def subjects(self) -> tuple[str, ...]:
        """The subjects of the log that have all that is wanted."""
        if self.types:
            return tuple(subjects.event(self.job or "*", name) for name in self.types)
        return (subjects.job_events(self.job),) if self.job else EVERYTHING

    def in_time(self, stored: Stored) -> bool:
        """Whether it was told within the wanted times; what says no time is."""
        time = time_of(stored)
        if time is None:
            return True
        if isinstance(self.since, datetime) and time < self.since:
            return False
        return not (isinstance(self.until, datetime) and time > self.until)


@dataclass(slots=True)
class Tail:
    """Reads and prints the wanted events of a log."""

    broker: Broker
    wanted: Wanted
    _owners: OrderedDict[str, str | None] = field(default_factory=OrderedDict)

    async def events(self, now: datetime, *, follow: bool) -> AsyncGenerator[Stored, None]:
        """The wanted events in the order of the log; with `follow`, as they come, until `until`."""
        until = self.wanted.until
        position = (await EventLog(self.broker, "cli").position()).last_sequence
        over = until <= now if isinstance(until, datetime) else (until or position + 1) <= position
        end = None if follow and not over else await self._end(position)
        if end is None and isinstance(until, datetime):
            try:
                async with asyncio.timeout((until - now).total_seconds()):
                    async for stored in self._read(None):
                        yield stored
            except TimeoutError:
                return
        else:
            async for stored in self._read(end):
                yield stored

    async def _end(self, position: int) -> int:
        """The sequence of the last event that reading may come to; 0 if there is none."""
        log = EventLog(self.broker, "cli")
        newest = [await log.last(subject) for subject in self.wanted.subjects()]
        end = max((stored.sequence for stored in newest if stored), default=0)
        until = self.wanted.until
        return min(end, until) if isinstance(until, int) else min(end, position)

    async def _begin(self) -> int:
        since = self.wanted.since
        if isinstance(since, int):
            return since
        return await sequence_before(self.broker, since - _SKEW)

    async def _read(self, end: int | None) -> AsyncGenerator[Stored, None]:
        after = await self._begin()
        if end is not None and after >= end:
            return
        last = end if end is not None else self.wanted.until
        reading = read_stored_log(self.broker, after, only=self.wanted.subjects())
        async with aclosing(reading) as batches:
            async for batch in batches:
                for stored in batch:
                    if isinstance(last, int) and stored.sequence > last:
                        return
                    if self.wanted.in_time(stored) and await self._is_theirs(stored):
                        yield stored
                if isinstance(last, int) and batch[-1].sequence >= last:
                    return

    async def _is_theirs(self, stored: Stored) -> bool:
        if self.wanted.owner is None:
            return True
        job = stored.headers.get("ce-subject")
        if job is None:
            return False
        if name_of(stored) == JobRequested.type_name():
            self._remember(job, stored)
        elif job not in self._owners:
            asked = subjects.event(job, JobRequested.type_name())
            self._remember(job, await EventLog(self.broker, "cli").last(asked) or stored)
        return self._owners[job] == self.wanted.owner

    def _remember(self, job: str, first: Stored) -> None:
        recorded, _ = understood(first)
        request = recorded.event if recorded else None
        self._owners[job] = request.owner if isinstance(request, JobRequested) else None
        while len(self._owners) > _OWNERS:
            self._owners.popitem(last=False)


@dataclass(slots=True)
class Printer:
    """Prints events, one a line: coloured for a person, plain for a pipe, or as JSON."""

    as_json: bool
    one_job: bool
    _day: date | None = None

    def show(self, stored: Stored) -> None:
        """Print one event."""
        if self.as_json:
            try:
                plain(json.dumps(stored.structured(), ensure_ascii=False))
            except UnknownEventError as error:
                hint(str(error))
        elif interactive():
            self._coloured(stored)
        else:
            time = time_of(stored)
            shown = f"{time.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3] if time else "?"
            job = stored.headers.get("ce-subject", "?")
            plain(f"{stored.sequence:>6}  {shown}  {job}  {told(stored)}")

    def _coloured(self, stored: Stored) -> None:
        time = time_of(stored)
        local = time.astimezone() if time else None
        if local is not None and local.date() != self._day:
            self._day = local.date()
            out.print(f"{self._day:%A, %d %B %Y}", style="bold", markup=False)
        # A style given to the text itself would be that of all its parts.
        line = Text().append(f"{stored.sequence:>6}  ", "dim")
        line.append(f"{local:%H:%M:%S.%f}"[:-3] if local else "?")
        job = stored.headers.get("ce-subject", "?")
        if not self.one_job:
            short = out.width < _NARROW and len(job) > _SHORT_JOB
            line.append(f"  {job[: _SHORT_JOB - 1] + '…' if short else job}", _of_job(job))
        words = told(stored)
        name, colon, rest = words.partition(":")
        line.append(f"  {name}{colon}", colour(name_of(stored)))
        line.append(rest)
        out.print(line)


def told(stored: Stored) -> str:
    """The event as a sentence; with a question mark and the reason, if it is not understood."""
    recorded, problem = understood(stored)
    return sentence(recorded.event) if recorded else f"{name_of(stored)}: ? {problem}"


def _of_job(job: str) -> str:
    """A colour by which a job is told from those around it."""
    colours = ("cyan", "magenta", "blue", "yellow", "green", "bright_cyan", "bright_magenta")
    return colours[sum(job.encode()[-6:]) % len(colours)]
