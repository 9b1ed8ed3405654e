"""The lines of the jobs that somebody reads, as they come, each with its place in the stream.

A line that passes by says only that there is something to read: it is read from the stream,
where it has its place, once for all who listen, and nothing is lost with a connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from contracts.stagelog import StageLine
from eventlog.errors import EventLogError
from eventlog.patience import insist
from eventlog.stagelogs import StageLogs

from gateway.live.job import Follower, LiveJob
from gateway.live.told import told_line

log = structlog.get_logger(__name__)

_PAUSE_S = 0.1
_LOOKS = 20
"""How often to look for a line that passed by and is not in the stream yet."""
_PAGE = 500


@dataclass(eq=False, slots=True)
class _Reading:
    """One job whose lines are read."""

    live: LiveJob
    cursor: int
    awaited: int
    """Lines that passed by and were not read yet."""
    stirred: asyncio.Event
    task: asyncio.Task[None] | None = None


class LiveLines:
    """Reads the lines of every job that has readers. `watch` keeps it going."""

    def __init__(self, stage_logs: StageLogs) -> None:
        self._logs = stage_logs
        self._readings: dict[str, _Reading] = {}

    async def listen(self, live: LiveJob, reader: Follower) -> None:
        """Call back for every line from now on. Raises UnavailableError."""
        if live.job not in self._readings:
            end = await insist(lambda: self._logs.end(live.job), patience_s=2.0)
            reading = _Reading(live, end, 0, asyncio.Event())
            if self._readings.setdefault(live.job, reading) is reading:
                reading.task = asyncio.create_task(self._read(reading))
        live.readers.add(reader)

    def leave(self, live: LiveJob, reader: Follower) -> None:
        """Do not call back any more."""
        live.readers.discard(reader)
        if not live.readers and (reading := self._readings.pop(live.job, None)) and reading.task:
            reading.task.cancel()

    async def watch(self) -> None:
        """Notice lines that pass by, until cancelled."""
        stop = await self._logs.watch(self._passed)
        try:
            await asyncio.Event().wait()
        finally:
            for reading in self._readings.values():
                if reading.task:
                    reading.task.cancel()
            await stop()

    def _passed(self, line: StageLine) -> None:
        if reading := self._readings.get(line.job):
            reading.awaited += 1
            reading.stirred.set()

    async def _read(self, reading: _Reading) -> None:
        looks = 0
        while True:
            await reading.stirred.wait()
            # What comes meanwhile is read with it.
            await asyncio.sleep(_PAUSE_S)
            try:
                found = await self._page(reading)
            except EventLogError as error:
                log.info("lines.waiting", job=reading.live.job, detail=str(error))
                continue
            looks = 0 if found else looks + 1
            reading.awaited = max(reading.awaited - found, 0) if looks < _LOOKS else 0
            if not reading.awaited:
                looks = 0
                reading.stirred.clear()

    async def _page(self, reading: _Reading) -> int:
        job = reading.live.job
        found = 0
        async for stored in self._logs.read(job, after=reading.cursor, limit=_PAGE):
            found += 1
            reading.cursor = stored.sequence
            told = told_line(stored)
            for reader in tuple(reading.live.readers):
                reader(told)
        return found
