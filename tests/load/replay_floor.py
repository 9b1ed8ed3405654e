"""The least that writing the views could cost: their rows, ready-made, and nothing else.

Two ways of writing the very same rows in the very same transactions, without reading or folding
anything: by the driver alone (`sqlite3`, one `executemany` of upserts for each table), and by
SQLAlchemy's core as its documentation shows it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.envelope import Recorded
from contracts.job import JobState
from eventlog.broker import Broker
from eventlog.log import LogPosition
from projector.database import PRAGMAS, Database, Row, open_database
from projector.fold import changes
from projector.positions import open_positions
from projector.projections import ALL
from projector.reading import read_to
from projector.track import BATCH, rows_of
from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import insert

Rows = list[tuple[Table, list[Row]]]
Statements = list[tuple[str, list[tuple[Any, ...]]]]
"""(upsert, parameters of each row)."""
Clock = Callable[[], float]
_SEGMENT = 10 * BATCH


@dataclass(slots=True)
class Floor:
    """What was spent on writing, in seconds."""

    driver_s: float = 0.0
    core_s: float = 0.0


@asynccontextmanager
async def views(log: LogPosition) -> AsyncIterator[tuple[Database, Path]]:
    """A fresh SQLite file with all tables, empty."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "views.db"
        database = open_database(f"sqlite+aiosqlite:///{file}")
        await open_positions(database, ALL, log)
        try:
            yield database, file
        finally:
            await database.close()


class RowMaker:
    """The rows that each transaction of a rebuild writes."""

    def __init__(self) -> None:
        self._states: dict[str, JobState] = {}

    def rows(self, events: Sequence[Recorded]) -> Rows:
        """Those of the next events."""
        batch = changes(self._states, events)
        for change in batch:
            self._states[change.after.job] = change.after
        for job in {change.after.job for change in batch if change.after.status.ended}:
            del self._states[job]
        return rows_of(ALL, batch)


class Driver:
    """Writes ready-made rows through `sqlite3` alone."""

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self._connection = sqlite3.connect(file, isolation_level=None)
        for pragma in PRAGMAS:
            self._connection.execute(pragma)

    def ready(self, transaction: Rows) -> Statements:
        """(statement, parameters) of a transaction."""
        return [
            (upsert.sql, upsert.parameters(rows))
            for table, rows in transaction
            if (upsert := self._database.upsert_of(table))
        ]

    def write(self, statements: Statements) -> None:
        """One transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        for sql, parameters in statements:
            self._connection.executemany(sql, parameters)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


async def write_core(database: Database, transaction: Rows) -> None:
    """One transaction through SQLAlchemy's core."""
    async with database.writing() as connection:
        for table, rows in transaction:
            new = insert(table)
            keys = [column.name for column in table.primary_key]
            changed = {c.name: new.excluded[c.name] for c in table.columns if c.name not in keys}
            await connection.execute(
                new.on_conflict_do_update(index_elements=keys, set_=changed), rows
            )


async def floor(broker: Broker, end: int, log: LogPosition, clock: Clock) -> Floor:
    """What writing the rows of the events up to `end` costs."""
    spent, maker = Floor(), RowMaker()
    async with views(log) as (database, file), views(log) as (other, _):
        driver = Driver(database, file)
        for first in range(0, end, _SEGMENT):
            # Read first, so that nothing arrives while the clock runs.
            read = [events async for events in read_to(broker, first, min(first + _SEGMENT, end))]
            transactions = [maker.rows(events) for events in read]
            ready = [driver.ready(transaction) for transaction in transactions]
            start = clock()
            for statements in ready:
                driver.write(statements)
            middle = clock()
            for transaction in transactions:
                await write_core(other, transaction)
            spent.driver_s += middle - start
            spent.core_s += clock() - middle
        driver.close()
    return spent
