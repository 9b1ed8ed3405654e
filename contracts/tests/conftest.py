"""A broker with its streams, one for each test module."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from eventlog.broker import Broker, connect
from eventlog.topology import ensure

from tests.support.broker import NatsServer, nats_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder: Path = tmp_path_factory.mktemp("nats")
    with nats_server(folder) as running:
        yield running


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("admin"))
    await ensure(broker)
    yield broker
    await broker.close()
