"""A broker and fresh databases of each kind for each test."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.topology import ensure

from tests.support.broker import NatsServer, nats_server
from tests.support.postgres import Postgres, postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "nats") as started:
        yield started


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("admin"))
    await ensure(broker)
    yield broker
    await broker.close()


@pytest.fixture
def log(admin: Broker) -> EventLog:
    return EventLog(admin, "test")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: every test that names it runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/views.db"
    server: Postgres = request.getfixturevalue("postgres_server")
    return await server.new_database(f"views-{secrets.token_hex(4)}")
