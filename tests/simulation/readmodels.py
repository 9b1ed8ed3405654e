"""Whether the views of a simulated world are what its log says, as made of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.envelope import Recorded
from projector import positions
from projector.database import Database
from projector.projection import METADATA
from projector.projections import jobs
from projector.track import Track
from sqlalchemy import insert, select

from tests.simulation.judge import ViolationError
from tests.simulation.server import EPOCH
from tests.simulation.services import PROJECTIONS
from tests.simulation.views import open_views

_WITHIN_S = 300.0
_LOOK_EVERY_S = 1.0


async def _at_once(_: str) -> None:
    """No time passes for who judges."""


async def check_views(path: str, folder: Path, events: Sequence[Recorded]) -> None:
    """ViolationError unless the views in a file come to be what the events make of nothing."""
    live, anew = open_views(path, _at_once), open_views(str(folder / "anew.db"), _at_once)
    try:
        await _caught_up(live, len(events))
        await _make(anew, events)
        for table in (table for one in PROJECTIONS for table in one.tables):
            found, wanted = await _rows(live, table), await _rows(anew, table)
            if found != wanted:
                odd = [row for row in found if row not in wanted][:1]
                lacks = [row for row in wanted if row not in found][:1]
                raise ViolationError(f"{table.name} has {odd}, and the log says {lacks}")
    finally:
        await live.close()
        await anew.close()


async def _caught_up(live: Database, end: int) -> None:
    for _ in range(int(_WITHIN_S / _LOOK_EVERY_S)):
        async with live.reading() as connection:
            reached = await positions.slowest(connection, PROJECTIONS)
        if reached >= end:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise ViolationError(f"the views are at event {reached} and do not come to {end}")


async def _make(anew: Database, events: Sequence[Recorded]) -> None:
    tables = [positions.POSITION, *(table for one in PROJECTIONS for table in one.tables)]
    await anew.create(METADATA, tables)
    async with anew.writing() as connection:
        for one in PROJECTIONS:
            row = {"projection": one.name, "version": one.version, "sequence": 0}
            await connection.execute(insert(positions.POSITION), [{**row, "stream_created": EPOCH}])
    await Track(anew, PROJECTIONS, jobs.PROJECTION, 0).apply(events)


async def _rows(database: Database, table: Any) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        rows = await connection.execute(select(table).order_by(*table.primary_key))
        return [tuple(row) for row in rows]
