"""Writes in a process of its own, while the one that made the rows folds the next ones.

Reading a long log is work for Python from end to end, and so is half of writing it: two threads
would only wait for each other (docs/adr/0016-rebuild-speed.md). The process is given transactions
on its standard input, answers each with a line, and ends when there is no more: it cannot outlive
who started it.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import IO, Any, cast

from projector.database import Database, open_database
from projector.errors import DatabaseUnavailableError, PositionMovedError
from projector.transaction import Transaction, Write

LONG = 20_000
"""Events on the way from which on it pays to start a process."""


@asynccontextmanager
async def writing(database: Database, events: int) -> AsyncIterator[Write]:
    """How to write what so many events change: in a process of its own if they are many."""
    if events < LONG:
        yield partial(_here, database)
        return
    process = _Process(database.url)
    try:
        yield process.write
    finally:
        await process.end()


async def _here(database: Database, transaction: Transaction) -> None:
    await transaction.carry_out(database)


class _Process:
    """The process, as who gives it work sees it."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "projector.writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._work = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        # Not among its arguments, which everybody on the machine may read.
        self._first = pickle.dumps(url)

    async def write(self, transaction: Transaction) -> None:
        """Raises as `Transaction.carry_out`, also if the process dies."""
        # In a thread: the event loop is busy with the next events.
        try:
            answer = await asyncio.to_thread(self._exchange, transaction)
        except OSError as error:
            raise DatabaseUnavailableError(error) from error
        match answer:
            case {"moved": start}:
                raise PositionMovedError(start)
            case {"unavailable": cause}:
                raise DatabaseUnavailableError(RuntimeError(cause))

    def _exchange(self, transaction: Transaction) -> dict[str, Any]:
        self._work.write(self._first + pickle.dumps(transaction))
        self._work.flush()
        self._first = b""
        line = self._answers.readline()
        if not line:
            raise OSError(f"the process that writes has ended ({self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        """Wait for it to end; what it was still writing is rolled back."""
        self._process.kill()
        await asyncio.to_thread(self._process.communicate)


def main() -> None:
    """The process itself."""
    # A Ctrl-C in the terminal is for who started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    database = open_database(pickle.load(sys.stdin.buffer))  # noqa: S301 - of our own making
    with asyncio.Runner() as runner:
        while (transaction := _next()) is not None:
            answer = runner.run(_carried_out(transaction, database))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        runner.run(database.close())


def _next() -> Transaction | None:
    try:
        transaction: Transaction = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own making
    except EOFError:
        return None
    return transaction


async def _carried_out(transaction: Transaction, database: Database) -> dict[str, Any]:
    try:
        await transaction.carry_out(database)
    except PositionMovedError:
        return {"moved": transaction.start}
    except DatabaseUnavailableError as error:
        return {"unavailable": str(error.__cause__ or error)}
    return {}


if __name__ == "__main__":
    main()
