"""One step along the log as the database sees it: the positions move, and rows are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from servicekit.failpoints import Failpoint, reached
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.database import Database, Statement


@dataclass(frozen=True, slots=True)
class Transaction:
    """Rows, ready for the driver, that take projections from one position to the next.

    It is plain data, so that another process may carry it out.
    """

    projections: Sequence[positions.Key]
    start: int
    end: int
    statements: Sequence[Statement]

    async def carry_out(self, database: Database) -> None:
        """All of it or nothing. Raises PositionMovedError, DatabaseUnavailableError."""
        await reached(Failpoint.PROJECTOR_BEFORE_TRANSACTION)
        async with database.writing() as connection:
            await self.carry_out_in(database, connection)
            await reached(Failpoint.PROJECTOR_BEFORE_COMMIT)
        await reached(Failpoint.PROJECTOR_AFTER_COMMIT)

    async def carry_out_in(self, database: Database, connection: AsyncConnection) -> None:
        """The same within a transaction of the caller's."""
        await positions.advance(connection, self.projections, self.start, self.end)
        for sql, parameters in self.statements:
            await database.put(connection, sql, parameters)


@dataclass(frozen=True, slots=True)
class Writer:
    """What carries transactions out; `write` raises as `Transaction.carry_out`.

    `at_once` is how many it may be given before the first is carried out. It does them in order.
    """

    write: Callable[[Transaction], Awaitable[None]]
    at_once: int
