"""A projector's database in the simulated world: real SQLite, without the driver's thread.

Statements are executed by the same SQLAlchemy, with the same SQL, but at once. Between them time
passes, and a process may die.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from projector.database import _WRITES as WRITES
from projector.database import Database, _begin_sqlite
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import create_async_engine

_BUSY_S = 0.005

Reach = Callable[[str], Awaitable[None]]
"""Called before each statement; the process may die there."""


class _Cursor:
    def __init__(self, cursor: sqlite3.Cursor, reach: Reach) -> None:
        self._cursor = cursor
        self._reach = reach

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        await self._reach(sql)
        while True:
            try:
                self._cursor.execute(sql, parameters or ())
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                await asyncio.sleep(_BUSY_S)
            else:
                return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> _Cursor:
        await self._reach(sql)
        self._cursor.executemany(sql, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def close(self) -> None:
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class _Connection:
    """What `aiosqlite.Connection` is to SQLAlchemy."""

    def __init__(self, path: str, reach: Reach) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            path, uri=True, timeout=0, isolation_level=None
        )
        self._reach = reach

    @property
    def _conn(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def cursor(self) -> _Cursor:
        return _Cursor(self._conn.cursor(), self._reach)

    async def create_function(self, *args: Any, **options: Any) -> None:
        self._conn.create_function(*args, **options)

    async def commit(self) -> None:
        await self._reach("COMMIT")
        self._conn.commit()

    async def rollback(self) -> None:
        self._conn.rollback()

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_views(path: str, reach: Reach) -> Database:
    """The views in a file, as one process sees them."""

    async def connected() -> _Connection:
        return _Connection(f"file:{path}", reach)

    engine = create_async_engine(
        "sqlite+aiosqlite:///views.db", async_creator=connected, pool_size=3, max_overflow=0
    )
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return Database(engine.execution_options(**{WRITES: True}), engine, sqlite.insert)
