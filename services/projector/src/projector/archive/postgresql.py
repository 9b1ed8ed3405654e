"""The views in PostgreSQL: what made the tables, and their rows as COPY writes them.

COPY's text is the same in all versions of the server
(https://www.postgresql.org/docs/current/sql-copy.html), and no client program has to be there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable

from projector.archive import ArchiveError, Dump, Probe, Sameness, adopt, log_of, occupied, places
from projector.database import open_database

KIND = "postgresql"
_SCHEMA = "schema.json"
_FORMAT = "text"


async def dump(url: str, folder: Path) -> Dump:
    """All tables of the database's default schema, as of one moment."""
    database = open_database(url)
    try:
        async with database.reading() as connection:
            tables = await connection.run_sync(_described)
            driver = await _driver(connection)
            files = [_SCHEMA]
            for number, table in enumerate(tables):
                table["rows"] = f"{number:03}-{table['name']}.copy"
                path = folder / table["rows"]
                await driver.copy_from_table(table["name"], output=path, format=_FORMAT)
                path.chmod(0o600)
                table["size"] = path.stat().st_size
                files.append(table["rows"])
            found = await places(connection) if tables else []
    finally:
        await database.close()
    path = folder / _SCHEMA
    path.write_text(json.dumps(tables, indent=2) + "\n")
    path.chmod(0o600)
    return Dump(KIND, files, found)


async def probe(url: str) -> Probe:
    """Whether there are tables in the database's default schema, and of which log."""
    database = open_database(url)
    try:
        async with database.reading() as connection:
            if not await connection.run_sync(_described):
                return Probe(empty=True)
            return Probe(empty=False, log=await log_of(connection))
    finally:
        await database.close()


async def load(url: str, folder: Path, same: Sameness) -> Dump:
    """The tables with their rows, in one transaction."""
    try:
        tables = json.loads((folder / _SCHEMA).read_text())
    except FileNotFoundError:
        raise ArchiveError(
            "The copy is of another kind of database.",
            "Leave the database out: the projector fills its views from the log.",
        ) from None
    for table in tables:
        # COPY takes a file that was cut within its last column for a whole one.
        if (folder / table["rows"]).stat().st_size != table["size"]:
            raise ArchiveError(
                f"The copy of the table {table['name']} was cut.",
                "Use another backup, or leave the database out: the projector fills its views "
                "from the log.",
            )
    database = open_database(url)
    try:
        async with database.writing() as connection:
            if await connection.run_sync(_described):
                raise occupied(make_url(url).render_as_string(hide_password=True))
            for table in tables:
                for statement in table["statements"]:
                    await connection.exec_driver_sql(statement)
            driver = await _driver(connection)
            for table in tables:
                source = folder / table["rows"]
                await driver.copy_to_table(table["name"], source=source, format=_FORMAT)
            await adopt(connection, same)
            found = await places(connection)
    finally:
        await database.close()
    return Dump(KIND, [_SCHEMA, *(table["rows"] for table in tables)], found)


def _described(connection: Connection) -> list[dict[str, Any]]:
    """Each table and what makes it, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    dialect = connection.dialect
    return [
        {
            "name": table.name,
            "statements": [
                str(CreateTable(table).compile(dialect=dialect)),
                *(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes),
            ],
        }
        for table in metadata.sorted_tables
    ]


async def _driver(connection: AsyncConnection) -> Any:
    """The driver's own connection, in the transaction that is under way."""
    return (await connection.get_raw_connection()).driver_connection
