"""The tables that a projection is made anew in, beside those that answer, and the switch.

The switch writes only what differs. So it is short where nothing was wrong, whoever reads sees
all of it or nothing, and the live tables keep their names, indexes and statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eventlog.log import LogPosition
from sqlalchemy import (
    ColumnElement,
    FromClause,
    MetaData,
    Table,
    and_,
    delete,
    exists,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.database import Database, Row
from projector.errors import HaltedError
from projector.fold import Change
from projector.projection import ANEW, Projection
from projector.projections import jobs


@dataclass(frozen=True, slots=True)
class Shadow:
    """The second tables of a projection, and those for the jobs folded so far."""

    live: Projection
    anew: Projection
    states: Projection

    @property
    def carried(self) -> tuple[Projection, ...]:
        """What goes along the log together."""
        return (self.anew,) if self.states is self.anew else (self.anew, self.states)

    @property
    def tables(self) -> list[Table]:
        """All that was made for the rebuild."""
        return [table for one in self.carried for table in one.tables]


def shadow_of(live: Projection) -> Shadow:
    """The shadow of a projection. Nothing is made in the database yet."""
    metadata = MetaData()
    anew = _copy(live, metadata, f"{live.name}{ANEW}")
    if live is jobs.PROJECTION:
        return Shadow(live, anew, anew)
    scratch = f"{jobs.SCRATCH.name}{ANEW}_{live.name}"
    return Shadow(live, anew, _copy(jobs.SCRATCH, metadata, scratch))


def _copy(live: Projection, metadata: MetaData, name: str) -> Projection:
    copies: dict[str, Table] = {}
    for table in live.tables:
        beside = name + table.name.removeprefix(live.name)
        copies[table.name] = copy = table.to_metadata(metadata, name=beside)
        # It is only written, and read once from end to end.
        copy.indexes.clear()

    def rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
        return ((copies[table.name], row) for table, row in live.rows(batch))

    return Projection(name, live.version, tuple(copies.values()), rows)


async def begin(database: Database, shadow: Shadow, log: LogPosition, *, fresh: bool) -> int:
    """Make the tables, or find those of a rebuild that was interrupted; returns its position."""
    if fresh:
        await drop(database, shadow)
    try:
        known = await positions.open_positions(database, shadow.carried, log)
    except HaltedError:
        # Those are of another log. The live ones are looked at by who calls us.
        known = {}
    reached = {known.get(one.key) for one in shadow.carried}
    if len(reached) == 1 and (position := reached.pop()) is not None:
        return position
    await drop(database, shadow)
    await positions.open_positions(database, shadow.carried, log)
    return 0


async def drop(database: Database, shadow: Shadow) -> None:
    """Take away what a rebuild has made, if there is anything."""
    await database.create(positions.POSITION.metadata, [positions.POSITION])
    async with database.writing() as connection:
        await drop_in(connection, shadow)


async def drop_in(connection: AsyncConnection, shadow: Shadow) -> None:
    """The same within a transaction of the caller's."""
    await positions.forget(connection, shadow.carried)
    for table in shadow.tables:
        await connection.run_sync(table.drop, checkfirst=True)


async def merge(database: Database, connection: AsyncConnection, shadow: Shadow) -> tuple[int, int]:
    """Make the live rows as those of the shadow are; returns how many it wrote and removed."""
    written = removed = 0
    for live, anew in zip(shadow.live.tables, shadow.anew.tables, strict=True):
        removed += await _remove(connection, live, anew)
        written += await _write(database, connection, live, anew)
    return written, removed


async def _remove(connection: AsyncConnection, live: Table, anew: Table) -> int:
    gone = delete(live).where(~exists(select(1).select_from(anew).where(_same_key(live, anew))))
    return (await connection.execute(gone)).rowcount


async def _write(database: Database, connection: AsyncConnection, live: Table, anew: Table) -> int:
    keys = [column.name for column in live.primary_key]
    names = [column.name for column in live.columns]
    known = live.alias("known")
    differs = [anew.c[name].is_distinct_from(known.c[name]) for name in names if name not in keys]
    wanted = (
        select(*(anew.c[name] for name in names))
        .select_from(anew.outerjoin(known, _same_key(known, anew)))
        .where(or_(known.c[keys[0]].is_(None), *differs))
    )
    new = database.insert(live).from_select(names, wanted)
    changes = {name: new.excluded[name] for name in names if name not in keys}
    if changes:
        statement = new.on_conflict_do_update(index_elements=keys, set_=changes)
    else:
        statement = new.on_conflict_do_nothing(index_elements=keys)
    return (await connection.execute(statement)).rowcount


def _same_key(one: FromClause, other: Table) -> ColumnElement[bool]:
    keys = [column.name for column in other.primary_key]
    return and_(*(one.c[name] == other.c[name] for name in keys))
