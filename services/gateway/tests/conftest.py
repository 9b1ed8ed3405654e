"""One running stack for all tests of the gateway, and what tests need to talk with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from gateway_stack import Stack, running_stack
from servicekit.objects import ObjectStore, open_store


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(autouse=True)
def _views_match_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that broke something, the views are what the log makes of them."""
    if "stack" not in request.fixturenames:
        yield
        return
    stack: Stack = request.getfixturevalue("stack")
    before = stack.processes()
    yield
    if stack.processes() != before:
        stack.assert_views_match_log()


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as client:
        yield client


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[Broker]:
    """A connection that may say what planner and runner say."""
    admin = await connect(stack.server.address("admin"))
    yield admin
    await admin.close()


@pytest.fixture
def log(broker: Broker) -> EventLog:
    return EventLog(broker, "test")


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[ObjectStore]:
    async with open_store(stack.store) as opened:
        yield opened
