"""One rebuild of a projection at a time, by a lock that dies with its holder.

On PostgreSQL an advisory lock, which ends with its connection; beside an SQLite file a locked
file, which the kernel unlocks when the process ends. So nothing stale can be in the way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import func, select

from projector.database import Database
from projector.errors import UnderWayError


@asynccontextmanager
async def exclusive(database: Database, name: str) -> AsyncIterator[None]:
    """Hold the lock of a projection; UnderWayError if somebody else does."""
    if database.engine.dialect.name == "postgresql":
        async with _advisory(database, name):
            yield
    else:
        with _beside(Path(str(database.engine.url.database)), name):
            yield


@asynccontextmanager
async def _advisory(database: Database, name: str) -> AsyncIterator[None]:
    digest = hashlib.sha256(f"myspinbot.rebuild.{name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    async with database.engine.connect() as plain:
        # A transaction that is open for the whole time would keep old rows from being cleared.
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        locked = (await connection.execute(select(func.pg_try_advisory_lock(key)))).scalar()
        try:
            if not locked:
                raise UnderWayError(name)
            yield
        finally:
            # The lock must not go back into the pool with its connection.
            await plain.invalidate()


@contextmanager
def _beside(file: Path, name: str) -> Iterator[None]:
    path = file.with_name(f"{file.name}.{name}.rebuilding")
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise UnderWayError(name) from error
        # Whoever held it before may have taken the file away between our opening and locking it.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
