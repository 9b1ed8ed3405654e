"""Clears away what versions of before have left: tables that nothing here reads or writes.

Tables are known by their names, `<projection>_v<version>` or `<projection>_<what>_v<version>`,
and only those go of which the positions say that they were a projection's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, MetaData, Table, and_, delete, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projector.database import Database
from projector.errors import NewerViewsError
from projector.positions import POSITION
from projector.projection import ANEW, Projection
from projector.projections import ALL, jobs

_Key = tuple[str, int]


async def drop_old(database: Database, current: Sequence[Projection] = ALL) -> list[str]:
    """Drop the tables and positions of projections and versions that are not current.

    Returns the names of the tables. An older projector on the same database can answer no more
    then. Raises DatabaseUnavailableError, and NewerViewsError where a newer projector has been:
    what this one does not know may be that one's.
    """
    kept = {one.key for one in (*current, jobs.SCRATCH)}
    async with database.writing() as connection:
        if not await connection.run_sync(_has, POSITION.name):
            return []
        rows = await connection.execute(select(POSITION.c.projection, POSITION.c.version))
        known = {(row.projection, row.version) for row in rows}
        _check_none_newer(known, kept)
        old = {key for key in known - kept if not _under_way(key, kept)}
        names = await connection.run_sync(_tables)
        dropped = sorted(name for name in names if _owner(name, known | kept) in old)
        for name in dropped:
            await connection.run_sync(Table(name, MetaData()).drop)
        await _forget(connection, old)
    return dropped


def _check_none_newer(known: Iterable[_Key], kept: Iterable[_Key]) -> None:
    ours = dict(kept)
    newer = sorted(key for key in known if key[0] in ours and key[1] > ours[key[0]])
    if newer:
        raise NewerViewsError(*newer[0])


def _has(connection: Connection, table: str) -> bool:
    return inspect(connection).has_table(table)


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def _under_way(key: _Key, kept: Iterable[_Key]) -> bool:
    """Whether a rebuild of what is current may be at work on it, or go on with it."""
    before, anew, of = key[0].partition(ANEW)
    if of:
        return key[1] == jobs.SCRATCH.version and of.removeprefix("_") in {name for name, _ in kept}
    return bool(anew) and (before, key[1]) in kept


def _owner(table: str, known: Iterable[_Key]) -> _Key | None:
    """The projection that a table is of: the one with the longest name that fits."""
    fitting = [
        (name, version)
        for name, version in known
        if re.fullmatch(rf"{re.escape(name)}(_.+)?_v{version}", table)
    ]
    return max(fitting, key=lambda key: len(key[0]), default=None)


async def _forget(connection: AsyncConnection, old: Iterable[_Key]) -> None:
    for name, version in old:
        mine = and_(POSITION.c.projection == name, POSITION.c.version == version)
        await connection.execute(delete(POSITION).where(mine))
