"""The rebuild of a whole projection: from the log beside the live tables, then the switch.

The live projector goes on meanwhile. At the end its position is held for as long as it takes to
fold what is new since and to write what differs, all in one transaction.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass

import structlog
from eventlog.broker import Broker
from eventlog.log import EventLog, LogPosition
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.database import Database
from projector.errors import DatabaseUnavailableError
from projector.pace import Pace, Tell, silent
from projector.projection import Projection
from projector.projections import ALL
from projector.reading import read_to
from projector.rebuild import shadow as beside
from projector.rebuild.lock import exclusive
from projector.rebuild.shadow import Shadow
from projector.track import BATCH, Track
from projector.writer import writing

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did. `written` and `removed` are rows that were not as the log tells."""

    projection: str
    position: int
    events: int
    written: int
    removed: int
    seconds: float


async def rebuild(
    broker: Broker,
    database: Database,
    projection: Projection,
    *,
    fresh: bool = False,
    tell: Tell = silent,
) -> Rebuilt:
    """Make a projection anew and switch to it; goes on from where an earlier one was interrupted.

    Raises UnderWayError if another one is at work, HaltedError if the log is not the one of the
    views or cannot be read, BrokerSilentError, and DatabaseUnavailableError. The live
    tables are untouched then; if the database is full, what was made beside them is dropped.
    """
    async with exclusive(database, projection.name):
        log = EventLog(broker, "projector")
        _, end = await positions.open_at_end(database, [projection], log)
        work = _Work(broker, database, beside.shadow_of(projection), end)
        try:
            return await work.run(fresh=fresh, tell=tell)
        except DatabaseUnavailableError as error:
            if error.full:
                # The live projector needs the room more than a later start of ours does.
                with suppress(DatabaseUnavailableError):
                    await beside.drop(database, work.shadow)
            raise


@dataclass(frozen=True, slots=True)
class _Work:
    broker: Broker
    database: Database
    shadow: Shadow
    log: LogPosition

    async def run(self, *, fresh: bool, tell: Tell) -> Rebuilt:
        start = await beside.begin(self.database, self.shadow, self.log, fresh=fresh)
        track = Track(self.database, self.shadow.carried, self.shadow.states, start)
        pace = Pace(tell, start)
        await self._catch_up(track, pace)
        written, removed = await self._switch(track)
        done = Rebuilt(
            projection=self.shadow.live.name,
            position=track.position,
            events=track.position - start,
            written=written,
            removed=removed,
            seconds=pace.seconds,
        )
        _log.info("projector.rebuilt", **asdict(done))
        return done

    async def _catch_up(self, track: Track, pace: Pace) -> None:
        """Carry the shadow along until it is less than one transaction behind the live views."""
        while True:
            async with self.database.reading() as connection:
                target = await self._target(connection)
            pace.reached(track.position, target)
            if target - track.position < BATCH:
                return
            async with (
                aclosing(read_to(self.broker, track.position, target)) as batches,
                writing(self.database, target - track.position) as write,
                aclosing(track.follow(batches, write)) as written,
            ):
                async for _ in written:
                    pace.reached(track.position, target)

    async def _switch(self, track: Track) -> tuple[int, int]:
        shadow = self.shadow
        async with self.database.writing() as connection:
            await positions.hold(connection, shadow.live)
            target = await self._target(connection)
            async for events in read_to(self.broker, track.position, target):
                await track.apply_in(connection, events)
            changed = await beside.merge(self.database, connection, shadow)
            await positions.put(connection, shadow.live, target)
            await beside.drop_in(connection, shadow)
        return changed

    async def _target(self, connection: AsyncConnection) -> int:
        """Where the views are that answer; where the log ended if there are none yet."""
        live = [self.shadow.live, *(one for one in ALL if one.key != self.shadow.live.key)]
        return await positions.foremost(connection, live) or self.log.last_sequence
