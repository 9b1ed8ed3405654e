"""How far each projection has read: the projector's only memory, kept beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Database, Row, UtcDateTime
from projector.errors import LogReplacedError, LogTooShortError, PositionMovedError
from projector.projection import METADATA, Projection, View, table_of
from projector.shape import check_shape

if TYPE_CHECKING:
    # The process that only writes starts sooner without a client of the broker's.
    from eventlog.log import EventLog, LogPosition


class Position(View, table=True):
    """The last event that is in the rows of a projection, and the log it came from."""

    __tablename__ = "position"

    projection: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))
    stream_created: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


POSITION = table_of(Position)
Key = tuple[str, int]
"""Name and version of a projection."""


async def open_positions(
    database: Database, projections: Sequence[Projection], log: LogPosition
) -> dict[tuple[str, int], int]:
    """The position of each projection, after its tables were made where they were missing.

    Raises HaltedError if the positions cannot be of this log.
    """
    tables = [POSITION, *(table for projection in projections for table in projection.tables)]
    await database.create(METADATA, tables)
    async with database.writing() as connection:
        await connection.run_sync(check_shape, tables)
        known = await read(connection, projections)
        for sequence, created in known.values():
            check(sequence, created, log)
        missing: list[Row] = [
            {
                "projection": one.name,
                "version": one.version,
                "sequence": 0,
                "stream_created": log.created,
            }
            for one in projections
            if one.key not in known
        ]
        if missing:
            # Another projector may have made them, and gone on, since we looked.
            made = database.insert(POSITION).on_conflict_do_nothing()
            await connection.execute(made, missing)
    return {one.key: known[one.key][0] if one.key in known else 0 for one in projections}


async def open_at_end(
    database: Database, projections: Sequence[Projection], log: EventLog
) -> tuple[dict[tuple[str, int], int], LogPosition]:
    """The same for a log that grows, and its end: others may write what is told meanwhile."""
    end = await log.position()
    while True:
        try:
            return await open_positions(database, projections, end), end
        except LogTooShortError as error:
            end = await log.position()
            if end.last_sequence < error.position:
                raise


def check(sequence: int, created: datetime, log: LogPosition) -> None:
    """HaltedError unless views at `sequence` of the log made at `created` can go on with `log`."""
    if created != log.created:
        raise LogReplacedError(created.isoformat(), log.created.isoformat())
    if sequence > log.last_sequence:
        raise LogTooShortError(sequence, log.last_sequence)


async def advance(
    connection: AsyncConnection, projections: Sequence[Key], start: int, end: int
) -> None:
    """Move all positions from `start` to `end`; PositionMovedError unless all are at `start`.

    This is the first statement of its transaction, so of two projectors one waits here for
    the other and then finds that its events are written already.
    """
    if end <= start:
        raise ValueError(f"a position cannot go from {start} to {end}")
    result = await connection.execute(
        update(POSITION)
        .where(_any_key(projections), POSITION.c.sequence == start)
        .values(sequence=end)
    )
    if result.rowcount != len(projections):
        raise PositionMovedError(start)


async def reset(connection: AsyncConnection, projections: Sequence[Projection]) -> None:
    """Back to the beginning, in the transaction that empties the tables."""
    await connection.execute(update(POSITION).where(_any_of(projections)).values(sequence=0))


async def slowest(connection: AsyncConnection, projections: Sequence[Projection]) -> int:
    """The position that all of these projections have reached."""
    known = await read(connection, projections)
    return min(known[one.key][0] if one.key in known else 0 for one in projections)


async def foremost(connection: AsyncConnection, projections: Sequence[Projection]) -> int:
    """The position of the one that has come farthest."""
    known = await read(connection, projections)
    return max((sequence for sequence, _ in known.values()), default=0)


async def hold(connection: AsyncConnection, projection: Projection) -> int:
    """Keep a projection where it is until the transaction ends; returns where that is.

    This is the first statement of its transaction, so that it waits for whoever writes now.
    """
    mine = _any_of([projection])
    await connection.execute(update(POSITION).where(mine).values(sequence=POSITION.c.sequence))
    return int((await connection.execute(select(POSITION.c.sequence).where(mine))).scalar_one())


async def put(connection: AsyncConnection, projection: Projection, sequence: int) -> None:
    """Set the position, in the transaction that brings the rows there."""
    mine = _any_of([projection])
    await connection.execute(update(POSITION).where(mine).values(sequence=sequence))


async def forget(connection: AsyncConnection, projections: Sequence[Projection]) -> None:
    """Know nothing more of these, in the transaction that drops their tables."""
    await connection.execute(delete(POSITION).where(_any_of(projections)))


async def read(
    connection: AsyncConnection, projections: Sequence[Projection]
) -> dict[tuple[str, int], tuple[int, datetime]]:
    """(sequence, creation of its log) of each of these that the database knows."""
    rows = await connection.execute(select(POSITION).where(_any_of(projections)))
    return {(row.projection, row.version): (row.sequence, row.stream_created) for row in rows}


def _any_of(projections: Sequence[Projection]) -> ColumnElement[bool]:
    return _any_key([one.key for one in projections])


def _any_key(keys: Sequence[Key]) -> ColumnElement[bool]:
    row = POSITION.c
    return or_(*(and_(row.projection == name, row.version == version) for name, version in keys))
