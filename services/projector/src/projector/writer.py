"""Writes in a process of its own, while the one that made the rows folds the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from projector.beside import LONG, Beside, Parent, ProcessDiedError
from projector.database import Database, open_database
from projector.errors import DatabaseUnavailableError, PositionMovedError
from projector.transaction import Transaction, Writer

_AT_ONCE = 16
"""Transactions that may be under way to the process."""


@asynccontextmanager
async def writing(database: Database, events: int) -> AsyncIterator[Writer]:
    """What writes what so many events change: in a process of its own if they are many."""
    if events < LONG:
        yield Writer(partial(_here, database), at_once=1)
        return
    process = Beside("projector.writer")
    try:
        # Not among its arguments, which everybody on the machine may read.
        await process.send(database.url)
        yield Writer(partial(_there, process), _AT_ONCE)
    finally:
        await process.end()


async def _here(database: Database, transaction: Transaction) -> None:
    await transaction.carry_out(database)


async def _there(process: Beside, transaction: Transaction) -> None:
    try:
        answer = await process.ask(transaction)
    except ProcessDiedError as error:
        raise DatabaseUnavailableError(error) from error
    match answer:
        case "moved":
            raise PositionMovedError(transaction.start)
        case ("unavailable", cause):
            raise DatabaseUnavailableError(RuntimeError(cause))


def main() -> None:
    """The process itself."""
    parent = Parent()
    work = parent.received()
    database = open_database(next(work))
    with asyncio.Runner() as runner:
        for transaction in work:
            parent.send(runner.run(_carried_out(transaction, database)))


async def _carried_out(transaction: Transaction, database: Database) -> object:
    try:
        await transaction.carry_out(database)
    except PositionMovedError:
        return "moved"
    except DatabaseUnavailableError as error:
        return "unavailable", str(error.__cause__ or error)
    return "done"


if __name__ == "__main__":
    main()
