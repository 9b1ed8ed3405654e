"""The views in SQLite: one file, copied whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy.engine import make_url

from projector.archive import ArchiveError, Dump, Probe, Sameness, adopt, log_of, occupied, places
from projector.database import open_database

KIND = "sqlite"
_FILE = "views.db"
_BUSY_S = 30.0


async def dump(url: str, folder: Path) -> Dump:
    """A compact copy as of one moment (https://sqlite.org/lang_vacuum.html, VACUUM INTO)."""
    source, copy = _path(url), folder / _FILE
    if not source.exists():
        raise ArchiveError(
            f"There is no database {source}.", "Check MYSPINBOT_DATABASE_URL: it names a file."
        )
    copy.unlink(missing_ok=True)
    try:
        await asyncio.to_thread(_vacuum, source, copy)
    except sqlite3.Error as error:
        raise ArchiveError(
            f"The database {source} cannot be copied: {error}.",
            "If it is damaged, make the views anew: stop the projector, move the file away, and "
            "start it; it fills them from the log.",
        ) from error
    database = open_database(_url(copy))
    try:
        async with database.reading() as connection:
            found = await places(connection)
    finally:
        await database.close()
    return Dump(KIND, [_FILE], found)


async def probe(url: str) -> Probe:
    """Whether there is a file, and of which log its views are."""
    target = _path(url)
    if not target.exists() or not target.stat().st_size:
        return Probe(empty=True)
    database = open_database(url)
    try:
        async with database.reading() as connection:
            return Probe(empty=False, log=await log_of(connection))
    finally:
        await database.close()


async def load(url: str, folder: Path, same: Sameness) -> Dump:
    """The copy in the place of a file that is not there yet; it appears when it is whole."""
    target = _path(url)
    if target.exists() and target.stat().st_size:
        raise occupied(str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.loading")
    for leftover in _files(partial):
        leftover.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    await asyncio.to_thread(shutil.copyfile, folder / _FILE, partial)
    try:
        await asyncio.to_thread(_check, partial)
    except sqlite3.Error as error:
        raise ArchiveError(
            f"The copy of the database is damaged: {error}.",
            "Use another backup, or restore without the database: the projector fills its views "
            "from the log.",
        ) from error
    database = open_database(_url(partial))
    try:
        async with database.writing() as connection:
            await adopt(connection, same)
            found = await places(connection)
    finally:
        await database.close()
    # A write-ahead log of its own would not be found under the new name.
    await asyncio.to_thread(_settle, partial)
    partial.replace(target)
    return Dump(KIND, [_FILE], found)


def _path(url: str) -> Path:
    return Path(make_url(url).database or "")


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path.absolute()}"


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]


def _vacuum(source: Path, copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(source, timeout=_BUSY_S)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)


def _check(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        [(told,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if told != "ok":
        raise sqlite3.DatabaseError(told)


def _settle(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    with path.open("rb") as file:
        os.fsync(file.fileno())
