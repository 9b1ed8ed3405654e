"""A broker and fresh databases of each kind for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.topology import ensure

from tests.support.broker import NatsServer, nats_server


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


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/views.db"
