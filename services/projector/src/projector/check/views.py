"""Checks the views that answer against views made from nothing at the same position."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from eventlog.broker import Broker
from eventlog.log import EventLog
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.check.comparison import Differ, Difference, Side, compare
from projector.database import Database, open_database
from projector.errors import DatabaseUnavailableError, NotFilledError, TemporaryRoomError
from projector.pace import Pace, Tell, silent
from projector.projection import Projection
from projector.projections import ALL, jobs
from projector.reading import read_to
from projector.track import Track
from projector.writer import writing


@dataclass(frozen=True, slots=True)
class Checked:
    """How a projection compares with the log, whose events it has up to `position`."""

    projection: str
    version: int
    position: int
    rows: int
    differences: int


async def check(
    broker: Broker,
    database: Database,
    projections: Sequence[Projection] = ALL,
    *,
    differ: Differ,
    tell: Tell = silent,
) -> list[Checked]:
    """Compare projections with what the log says, and tell `differ` of each difference.

    The live database is only read, and of one moment, while the projector may go on. Raises
    NotFilledError if it has nothing of a projection, HaltedError if it is of another log or the
    log cannot be read, BrokerSilentError, DatabaseUnavailableError, and TemporaryRoomError if
    the temporary database cannot be written.
    """
    async with database.reading() as connection:
        live = await _positions(connection, projections)
        known = await positions.read(connection, projections)
    log = await EventLog(broker, "projector").position()
    for sequence, created in known.values():
        positions.check(sequence, created, log)
    group, states = _carried(projections)
    pace = Pace(tell, 0)
    async with _temporary() as made:
        await positions.open_positions(made, group, log)
        track = Track(made, group, states, 0)

        async def carry(end: int) -> None:
            async with (
                aclosing(read_to(broker, track.position, end)) as batches,
                writing(made, end - track.position) as write,
                aclosing(track.follow(batches, write)) as written,
            ):
                with _room():
                    async for _ in written:
                        pace.reached(track.position, end)

        # So far without a snapshot of the live database, which must not be held for long.
        await carry(min(live.values()))
        async with database.reading() as connection:
            live = await _positions(connection, projections)
            checked = []
            for one in sorted(projections, key=lambda one: live[one.key]):
                await carry(live[one.key])
                async with made.reading() as beside:
                    sides = Side(connection), Side(beside)
                    checked.append(await _compared(one, live[one.key], *sides, differ))
    return checked


async def _compared(
    projection: Projection, position: int, live: Side, rebuilt: Side, differ: Differ
) -> Checked:
    found = Checked(projection.name, projection.version, position, 0, 0)

    def count(difference: Difference) -> None:
        nonlocal found
        found = replace(found, differences=found.differences + 1)
        differ(difference)

    for table in projection.tables:
        rows = await compare(projection.name, table, live, rebuilt, count)
        found = replace(found, rows=found.rows + rows)
    return found


def _carried(projections: Sequence[Projection]) -> tuple[tuple[Projection, ...], Projection]:
    """What has to be folded to check these, and which of it holds the states of the jobs."""
    if jobs.PROJECTION in projections:
        return tuple(projections), jobs.PROJECTION
    return (*projections, jobs.SCRATCH), jobs.SCRATCH


async def _positions(
    connection: AsyncConnection, projections: Sequence[Projection]
) -> Mapping[tuple[str, int], int]:
    names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    known = (
        await positions.read(connection, projections) if positions.POSITION.name in names else {}
    )
    for one in projections:
        if one.key not in known:
            raise NotFilledError(one.name, one.version)
    return {key: sequence for key, (sequence, _) in known.items()}


@asynccontextmanager
async def _temporary() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory(prefix="myspinbot-check-") as folder:
        made = open_database(f"sqlite+aiosqlite:///{folder}/views.db")
        try:
            yield made
        finally:
            await made.close()


class _room:  # noqa: N801 - used as a function
    """Says of which of the two databases it is that cannot be written."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DatabaseUnavailableError):
            raise TemporaryRoomError(error) from error
