"""The SQL database behind the views: SQLite or PostgreSQL, with the same behaviour.

Only what differs between the two stands here: how a connection is opened, how a consistent
snapshot is read, and the dialect's own upsert.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, MetaData, Table, event, func, select
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

from projector import metrics, spans
from projector.errors import DatabaseUnavailableError, UnsupportedDatabaseError
from projector.upserts import Upsert

Row = dict[str, Any]
Parameters = list[tuple[Any, ...]]
Statement = tuple[str, Parameters]
"""SQL of the driver's, and the parameters of each row."""

_SQLITE = "sqlite+aiosqlite"
_POSTGRESQL = "postgresql+asyncpg"
_WRITES = "myspinbot_writes"
_MAKING_TABLES = 0x6D7973706962  # "myspib": any number that nobody else locks
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # The last commits may be lost in a power cut, rows and position alike: they are read again.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-4000",
    # A page that changes in every transaction is copied back after 16 MB of log, not after 4.
    "PRAGMA wal_autocheckpoint=4000",
)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time. SQLite has no zones, so it is kept in UTC and comes back with its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return value.astimezone(UTC) if value is not None else None

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """To what the driver takes: for SQLite the text that SQLAlchemy makes, in less time."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From UTC."""
        return value.replace(tzinfo=UTC) if value is not None else None


@lru_cache(4096)
def _as_text(value: datetime | None) -> str | None:
    # The time of an event stands in several rows of a transaction.
    if value is None:
        return None
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]


@dataclass(slots=True)
class Database:
    """The engines of one database. Make it with `open_database`, end it with `close`."""

    engine: AsyncEngine
    readers: AsyncEngine
    insert: Callable[[Table], SqliteInsert | PostgresqlInsert]
    _upserts: dict[str, Upsert] = field(default_factory=dict)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed if the block ends well.

        Raises DatabaseUnavailableError if the database cannot be reached or written.
        """
        with _translated(), metrics.transaction("write"):
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A snapshot: everything read in the block is of one moment."""
        with _translated(), metrics.transaction("read"):
            async with self.readers.connect() as connection:
                yield connection

    async def create(self, metadata: MetaData, tables: Sequence[Table]) -> None:
        """Make the tables that are not there yet."""
        async with self.writing() as connection:
            if self.engine.dialect.name == "postgresql":
                # Two that start at once would both find a table missing, and one of them fail.
                await connection.execute(select(func.pg_advisory_xact_lock(_MAKING_TABLES)))
            await connection.run_sync(metadata.create_all, tables=list(tables))

    async def upsert(self, connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
        """Write whole rows over those with the same primary key. No key may occur twice."""
        if rows:
            await self.put(connection, *self.ready(table, rows))

    def ready(self, table: Table, rows: Sequence[Row]) -> Statement:
        """Rows as the driver takes them, to be `put`."""
        upsert = self.upsert_of(table)
        return upsert.sql, upsert.parameters(rows)

    async def put(self, connection: AsyncConnection, sql: str, parameters: Parameters) -> None:
        """Execute a statement once for each row."""
        await connection.exec_driver_sql(sql, parameters)

    def upsert_of(self, table: Table) -> Upsert:
        """How rows of this table are written."""
        upsert = self._upserts.get(table.name)
        if upsert is None:
            new = self.insert(table)
            upsert = self._upserts[table.name] = Upsert(new, self.engine.dialect)
        return upsert

    @property
    def url(self) -> str:
        """What opens the same database, with its password."""
        return self.engine.url.render_as_string(hide_password=False)

    async def close(self) -> None:
        """End all connections."""
        await self.engine.dispose()


def open_database(url: str) -> Database:
    """A database by its SQLAlchemy URL; UnsupportedDatabaseError if it is of another kind.

    Nothing is connected until it is used, and only the driver that is used is imported.
    """
    try:
        scheme = make_url(url).drivername
    except ArgumentError as error:
        raise UnsupportedDatabaseError(url.split(":", 1)[0]) from error
    # Each dialect is imported where it is used: the other one would only take memory.
    if scheme == _SQLITE:
        from sqlalchemy.dialects import sqlite

        engine = create_async_engine(url, pool_size=3, max_overflow=0)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        spans.watch(engine.sync_engine)
        return Database(engine.execution_options(**{_WRITES: True}), engine, sqlite.insert)
    if scheme == _POSTGRESQL:
        from sqlalchemy.dialects import postgresql

        engine = create_async_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True)
        spans.watch(engine.sync_engine)
        readers = engine.execution_options(isolation_level="REPEATABLE READ")
        return Database(engine, readers, postgresql.insert)
    raise UnsupportedDatabaseError(scheme)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions at writes only; a snapshot needs one for reads too.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # Whoever reads first and writes then would be refused if another has written between.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class _translated:  # noqa: N801 - used as a function
    """Turns the loss of the database into DatabaseUnavailableError, and nothing else."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        lost = isinstance(error, OperationalError | InterfaceError | OSError) or (
            isinstance(error, DBAPIError) and (error.connection_invalidated or _out_of_order(error))
        )
        if error is not None and lost:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            raise DatabaseUnavailableError(cause) from error


def _out_of_order(error: DBAPIError) -> bool:
    """Whether PostgreSQL lacks room or is being stopped, which its driver has no class for.

    The classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    return str(getattr(error.orig, "sqlstate", "")).startswith(("08", "53", "57", "58"))
