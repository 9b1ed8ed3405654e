"""One real gateway, with what it needs, for the hostile inputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from gateway_stack import Stack, running_stack


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("attacked")) as running:
        # As where people are let in who are not trusted: no webhook leads into the network.
        strict = {**running.gateway.environment, "MYSPINBOT_WEBHOOK_TARGETS": "public"}
        running.gateway.kill()
        running.gateway.environment = strict
        running.gateway.start()
        yield running


@pytest.fixture
async def api(attacked: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=attacked.url, timeout=60) as client:
        yield client
