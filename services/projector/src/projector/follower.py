"""Follows the log for as long as the process lives, and says how that is going.

The loss of the broker or of the database is waited out. What would make the views wrong
halts it: nothing more is written, and readiness says what an operator has to do. Once that is
done it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

import structlog
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError
from eventlog.log import EventLog, LogPosition
from servicekit.admin import Readiness
from servicekit.waiting import Need

from projector import metrics, positions
from projector.answers import Progress
from projector.beside import LONG
from projector.catch_up import level
from projector.database import Database
from projector.errors import (
    DatabaseUnavailableError,
    HaltedError,
    LogTooShortError,
    PositionMovedError,
)
from projector.projection import Projection
from projector.projections import jobs
from projector.reading import Batches, read, up_to
from projector.spans import processing
from projector.track import Track
from projector.writer import writing

log = structlog.get_logger(__name__)

_WATCH_S = 2.0
_LOOK_AGAIN_S = 2.0


class Follower:
    """One projector process's way along the log. `caught_up` is called once, when it is ready."""

    def __init__(
        self,
        broker: Broker,
        database: Database,
        projections: Sequence[Projection],
        *,
        progress: Progress,
        readiness: Readiness,
        caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._database = database
        self._projections = tuple(projections)
        self._progress = progress
        self._readiness = readiness
        self._caught_up = caught_up
        self._log = EventLog(broker, "projector")
        self._database_there = Need("database", readiness)
        self._log_there = Need("log", readiness)
        self._newest: datetime | None = None
        self._end = 0
        self._log_created: datetime | None = None

    async def run(self) -> None:
        """Follow the log until cancelled. What halts it is looked at again from time to time."""
        self._readiness.lost("catching-up")
        self._readiness.lost("database")
        self._readiness.lost("log")
        while True:
            try:
                await self._follow()
            except HaltedError as error:
                await self._halt(error)
                await self._resume(await self._mended(error))
            except PositionMovedError:
                log.info("projector.overtaken", position=self._progress.position)
            except DatabaseUnavailableError as error:
                self._log_there.reached()
                await self._database_there.failed(error)
            except UnavailableError as error:
                await self._log_there.failed(error)

    async def _follow(self) -> None:
        known, end = await positions.open_at_end(
            self._database, (*self._projections, jobs.SCRATCH), self._log
        )
        self._end, self._log_created = end.last_sequence, end.created
        self._database_there.reached()
        self._log_there.reached()
        track = await level(self._database, self._projections, known, partial(read, self._broker))
        log.info("projector.following", position=track.position, log_ends_at=end.last_sequence)
        await self._moved(track, end)
        await _until_one_fails(self._apply(track, end), self._watch(end.created))

    async def _apply(self, track: Track, end: LogPosition) -> None:
        far = end.last_sequence - track.position
        if far >= LONG:
            async with aclosing(read(self._broker, track.position)) as batches:
                await self._along(track, up_to(batches, end.last_sequence), far, end)
        async with aclosing(read(self._broker, track.position)) as batches:
            await self._along(track, batches, 0, end)

    async def _along(self, track: Track, batches: Batches, far: int, end: LogPosition) -> None:
        async with (
            writing(self._database, far) as write,
            # What was told long ago is in no trace that anybody waits for.
            aclosing(
                track.follow(batches, write) if far else track.follow(batches, write, processing)
            ) as written,
        ):
            async for events in written:
                metrics.EVENTS.inc(len(events))
                self._newest = events[-1].time
                await self._moved(track, end)

    async def _moved(self, track: Track, end: LogPosition) -> None:
        metrics.POSITION.set(track.position)
        await self._progress.reached(track.position)
        self._measure_lag()
        if track.position >= end.last_sequence and "catching-up" in self._readiness.waiting_for:
            await self._caught_up()
            self._readiness.reached("catching-up")
            log.info("projector.caught_up", position=track.position)

    async def _watch(self, created: datetime) -> None:
        """Measure the lag, and notice a log that was replaced while we follow it."""
        while True:
            position = self._progress.position
            try:
                end = await self._log.position()
            except UnavailableError:
                await asyncio.sleep(_WATCH_S)
                continue
            positions.check(position, created, end)
            self._end = max(self._end, end.last_sequence)
            self._measure_lag()
            await asyncio.sleep(_WATCH_S)

    def _measure_lag(self) -> None:
        lag = max(self._end - self._progress.position, 0)
        age = (datetime.now(UTC) - self._newest).total_seconds() if lag and self._newest else 0.0
        metrics.LAG_EVENTS.set(lag)
        metrics.LAG_SECONDS.set(max(age, 0.0))

    async def _halt(self, error: HaltedError) -> None:
        log.error("projector.halted", detail=str(error))
        metrics.HALTED.set(1)
        self._readiness.lost(f"operator: {error}")
        await self._progress.halt(str(error), trusted=error.views_hold)

    async def _mended(self, error: HaltedError) -> HaltedError:
        """What was in the way last, once database and log fit: one or both were restored."""
        halted_in = self._log_created
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                known, end = await positions.open_at_end(
                    self._database, (*self._projections, jobs.SCRATCH), self._log
                )
            except (DatabaseUnavailableError, EventLogError):
                continue
            except HaltedError as other:
                if str(other) != str(error):
                    self._readiness.reached(f"operator: {error}")
                    await self._halt(error := other)
                continue
            replaced = end.created != halted_in
            if isinstance(error, LogTooShortError) and not replaced:
                # Grown to where it was, it has other events there than those in the views.
                if max(known.values(), default=0) >= error.position:
                    continue
                return error
            if not error.in_log or replaced:
                return error

    async def _resume(self, error: HaltedError) -> None:
        log.info("projector.resumed")
        metrics.HALTED.set(0)
        self._readiness.reached(f"operator: {error}")
        await self._progress.resume()


async def _until_one_fails(*works: Awaitable[None]) -> None:
    """Do several things until one raises; the others are cancelled and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
