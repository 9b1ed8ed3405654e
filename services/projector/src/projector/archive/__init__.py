"""Copies the views out of their database and back: the database's part of a backup.

    python -m projector.archive dump FOLDER
    python -m projector.archive load FOLDER --from-log TIME --to-log TIME
    python -m projector.archive probe

The setting is that of the service, `MYSPINBOT_DATABASE_URL`. `dump` writes the tables as they are
at one moment, while the service goes on. `load` takes them into a database that has none, all of
them or nothing. A restored log is a new stream, so the positions that were of the log created at
`--from-log` are made to be of the one created at `--to-log`: whoever says so must know that they
hold the same events. `probe` tells whether there are tables, and of which log they are.

Standard output ends with one JSON object: `{"kind", "files", "positions"}`, for `probe` `{"empty",
"log"}` where `log` is a time or null, or `{"error", "remedy"}` with exit status 1. What
was dumped from one kind of database can be loaded only into the same kind; into another the
projector fills the views from the log.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from projector.errors import ProjectorError
from projector.positions import POSITION


class ArchiveError(ProjectorError):
    """The views cannot be copied: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Sameness:
    """Two streams that hold the same events, told by when they were created."""

    old: datetime
    new: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """How far a projection has come."""

    projection: str
    version: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Dump:
    """What was written into the folder."""

    kind: str
    files: list[str]
    positions: list[Place]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a database is empty, and when the log was created that it has views of."""

    empty: bool
    log: datetime | None = None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"empty": self.empty, "log": self.log.isoformat() if self.log else None}


async def log_of(connection: AsyncConnection) -> datetime | None:
    """When the log was created that the views are of; None if there are none, or of several."""
    try:
        found = await connection.execute(select(POSITION.c.stream_created).distinct())
    except (OperationalError, ProgrammingError):
        return None
    times = [row.stream_created for row in found]
    return times[0] if len(times) == 1 else None


async def places(connection: AsyncConnection) -> list[Place]:
    """The positions in a database; none if it has no such table."""
    columns = POSITION.c
    order = (columns.projection, columns.version)
    try:
        rows = await connection.execute(
            select(columns.projection, columns.version, columns.sequence).order_by(*order)
        )
    except (OperationalError, ProgrammingError):
        return []
    return [Place(*row) for row in rows]


async def adopt(connection: AsyncConnection, same: Sameness) -> None:
    """Make positions in the old stream positions in the new one."""
    await connection.execute(
        update(POSITION)
        .where(POSITION.c.stream_created == same.old)
        .values(stream_created=same.new)
    )


def occupied(where: str) -> ArchiveError:
    """The error of a database that is not empty."""
    return ArchiveError(
        f"The database {where} holds tables already.",
        "Name an empty one; or leave it out, and the projector fills its views from the log.",
    )
