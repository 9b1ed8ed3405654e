"""The database as compose starts it: a real PostgreSQL with the deployment's configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.postgres import Postgres, postgres

CONFIG = Path(__file__).resolve().parents[3] / "deploy/postgres/postgresql.conf"


@pytest.fixture(scope="module")
def deployed() -> Iterator[Postgres]:
    with postgres(CONFIG) as server:
        yield server


async def _rows(server: Postgres, query: str) -> list[asyncpg.Record]:
    url = (await server.new_database(f"asked_{abs(hash(query))}")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def test_postgresql_understands_every_line_of_its_configuration(deployed: Postgres) -> None:
    lines = await _rows(deployed, "SELECT name, error, applied FROM pg_file_settings")
    assert len(lines) > 20
    # The test's own server has an address and a size of its own.
    overridden = {"listen_addresses", "shared_buffers"}
    assert [line for line in lines if line["error"] and line["name"] not in overridden] == []
    assert {line["name"] for line in lines if not line["applied"]} <= overridden


async def test_a_service_that_reconnects_finds_room(deployed: Postgres) -> None:
    (row,) = await _rows(deployed, "SELECT current_setting('max_connections')::int AS most")
    # The projector keeps a handful, its tools as many again, and the exporter and page a few.
    assert row["most"] >= 40


async def test_rows_never_reach_the_log(deployed: Postgres) -> None:
    url = (await deployed.new_database("quiet")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetch("SELECT 1 / $1::int, $2::text", 0, "a name of somebody")
    finally:
        await connection.close()
    log = await asyncio.to_thread(deployed.log)
    assert "division by zero" in log
    assert "somebody" not in log
