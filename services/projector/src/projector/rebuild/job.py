"""The rebuild of one job's rows: folded from its own events, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from contracts.envelope import Recorded
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from sqlalchemy import Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.database import Database, Row
from projector.errors import BrokerSilentError, NotByJobError, UnknownJobError
from projector.fold import changes
from projector.projection import Projection
from projector.rebuild.whole import Rebuilt
from projector.track import rows_of

_Key = tuple[Any, ...]


async def rebuild_job(
    broker: Broker, database: Database, projection: Projection, job: str
) -> Rebuilt:
    """Make the rows of one job as the log tells, up to where the projection is.

    Raises UnknownJobError if the log has no such job, NotByJobError if the projection's rows
    are not of one job each, HaltedError if the log is not the one of the views,
    BrokerSilentError and DatabaseUnavailableError.
    """
    for table in projection.tables:
        if "job" not in table.columns:
            raise NotByJobError(projection.name, table.name)
    began = time.monotonic()
    log = EventLog(broker, "projector")
    await positions.open_at_end(database, [projection], log)
    events = await _events(log, job, 0)
    if not events:
        raise UnknownJobError(job)
    written = removed = 0
    async with database.writing() as connection:
        position = await positions.hold(connection, projection)
        events += await _events(log, job, events[-1].sequence)
        folded = [event for event in events if event.sequence <= position]
        found = {table.name: rows for table, rows in rows_of([projection], changes({}, folded))}
        for table in projection.tables:
            wanted = {_key(table, row): row for row in found.get(table.name, [])}
            known = await _known(connection, table, job)
            gone = [key for key in known if key not in wanted]
            wrong = [row for key, row in wanted.items() if known.get(key) != row]
            await _delete(connection, table, gone)
            await database.upsert(connection, table, wrong)
            written += len(wrong)
            removed += len(gone)
    return Rebuilt(
        projection=projection.name,
        position=position,
        events=len(folded),
        written=written,
        removed=removed,
        seconds=time.monotonic() - began,
    )


async def _events(log: EventLog, job: str, after: int) -> list[Recorded]:
    try:
        return [recorded async for recorded in log.read_job(job, after)]
    except EventLogError as error:
        raise BrokerSilentError(error) from error


async def _known(connection: AsyncConnection, table: Table, job: str) -> dict[_Key, Row]:
    found = await connection.execute(select(table).where(table.c.job == job))
    rows = [dict(row) for row in found.mappings()]
    return {_key(table, row): row for row in rows}


async def _delete(connection: AsyncConnection, table: Table, keys: Sequence[_Key]) -> None:
    columns = list(table.primary_key)
    for first in range(0, len(keys), 500):
        some = keys[first : first + 500]
        await connection.execute(delete(table).where(tuple_(*columns).in_(some)))


def _key(table: Table, row: Row) -> _Key:
    return tuple(row[column.name] for column in table.primary_key)
