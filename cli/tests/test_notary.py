"""The notary of the embedded stack, at a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.checkpoints import LogCheckpoint
from eventlog.broker import Broker, connect
from eventlog.checkpoints import read_checkpoints
from eventlog.log import EventLog
from eventlog.topology import ensure
from myspinbot.embedded.notary import StackNotary

from contracts import events as e
from tests.support.broker import NatsServer, nats_server


class Told:
    """What the notary told, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = asyncio.Event()

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))
        self._more.set()

    async def wait_for(self, event: str, count: int = 1) -> None:
        async with asyncio.timeout(30):
            while [name for name, _ in self.events].count(event) < count:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "nats") as running:
        yield running


async def admin_of(server: NatsServer) -> Broker:
    admin = await connect(server.address("admin"))
    await ensure(admin)
    return admin


async def ask(admin: Broker, job: str) -> int:
    request = e.JobRequested(type=e.JobType.TRAIN, owner="ada")
    return await EventLog(admin, "gateway").tell(job, request)


async def signed(admin: Broker) -> list[LogCheckpoint]:
    return [one async for one in read_checkpoints(admin)]


def a_notary(server: NatsServer, told: Told, every_s: float = 3600) -> StackNotary:
    return StackNotary(server.address("notary").url, server.seeds["notary"], told, every_s)


async def test_a_stack_signs_its_log_at_its_start_and_before_its_end(server: NatsServer) -> None:
    admin, told = await admin_of(server), Told()
    await ask(admin, "j1")
    notary = a_notary(server, told)
    notary.begin()
    await told.wait_for("checkpoint.signed")
    last = await ask(admin, "j2")
    notary.sign_for_the_last_time()
    await told.wait_for("checkpoint.signed", 2)
    await notary.end()
    assert [each.last_sequence for each in await signed(admin)] == [1, last]
    await admin.close()


async def test_a_stack_signs_again_when_its_time_has_come_and_only_what_is_new(
    server: NatsServer,
) -> None:
    admin, told = await admin_of(server), Told()
    notary = a_notary(server, told, every_s=0.01)
    notary.begin()
    for number in range(1, 4):
        await ask(admin, f"j{number}")
        await told.wait_for("checkpoint.signed", number)
    await notary.end()
    assert [each.last_sequence for each in await signed(admin)] == [1, 2, 3]
    await admin.close()


async def test_a_broker_that_is_away_is_told_and_keeps_nobody_from_stopping(
    server: NatsServer,
) -> None:
    told = Told()
    server.kill()
    notary = a_notary(server, told)
    notary.begin()
    notary.sign_for_the_last_time()
    await notary.end()
    assert "checkpoint.signed" not in dict(told.events)


async def test_a_log_that_cannot_be_signed_is_told(server: NatsServer) -> None:
    told = Told()
    notary = a_notary(server, told)
    notary.begin()
    await told.wait_for("checkpoint.failed")
    await notary.end()
    assert "the broker did not answer" in dict(told.events)["checkpoint.failed"]["detail"]
    await a_notary(server, told).end()
