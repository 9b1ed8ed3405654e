"""Streams copied out of a real broker and into another one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from eventlog import archive
from eventlog.archive import ArchiveError, StreamFacts
from eventlog.broker import API, Broker, connect
from eventlog.errors import BrokerError, UnavailableError
from eventlog.topology import CHORES_CONSUMER, ensure

from contracts import subjects
from tests.support.broker import NatsServer, nats_server


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("other")) as running:
        yield running


@pytest.fixture
async def other(other_server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(other_server.address("admin"))
    for stream in (subjects.JOBS, subjects.CONFIG):
        if await archive.facts(broker, stream) is not None:
            await archive.drop(broker, stream)
    yield broker
    await broker.close()


async def publish(broker: Broker, count: int, size: int = 2) -> None:
    for number in range(count):
        headers = {"Nats-Msg-Id": secrets.token_hex(8), "ce-number": str(number)}
        body = secrets.token_bytes(size)
        reply = await broker.publish(f"jobs.job-{number % 3}.events.X", body, headers)
        assert "error" not in reply, reply


async def taken(broker: Broker, stream: str) -> tuple[StreamFacts, list[bytes]]:
    out = await archive.snapshot(broker, stream)
    return out.facts, [chunk async for chunk in out.chunks]


async def each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def messages(broker: Broker, stream: str) -> list[tuple[dict[str, str], bytes]]:
    query = {"batch": 100_000, "seq": 1, "next_by_subj": ">"}
    replies = broker.many(f"{API}DIRECT.GET.{stream}", query)
    pending = ("Nats-Num-Pending", "Nats-UpTo-Sequence", "Nats-Last-Sequence")
    return [
        ({k: v for k, v in (m.headers or {}).items() if k not in pending}, m.data)
        async for m in replies
    ]


async def place(broker: Broker, consumer: str) -> dict[str, Any]:
    info = await broker.api(f"CONSUMER.INFO.{subjects.JOBS}.{consumer}")
    kept = ("config", "delivered", "ack_floor", "num_ack_pending", "num_pending")
    found = {name: info[name] for name in kept}
    for name in ("delivered", "ack_floor"):
        found[name].pop("last_active", None)
    return found


async def test_a_restored_log_is_the_same_but_for_the_time_of_its_creation(
    admin: Broker, other: Broker
) -> None:
    await publish(admin, 300, 4000)
    for _ in range(2):
        msg = await admin.pull(subjects.JOBS, CHORES_CONSUMER)
        assert msg is not None
        await admin.client.publish(msg.reply, b"+ACK")
    unacknowledged = await admin.pull(subjects.JOBS, CHORES_CONSUMER)
    assert unacknowledged is not None
    facts, chunks = await taken(admin, subjects.JOBS)
    assert len(chunks) > 8, "flow control has nothing to do"
    made = await archive.restore(other, subjects.JOBS, facts.config, facts.state, each(chunks))
    assert made.extent == facts.extent
    assert {**made.config, "metadata": 0} == {**facts.config, "metadata": 0}
    assert made.created > facts.created
    assert await messages(other, subjects.JOBS) == await messages(admin, subjects.JOBS)
    assert await place(other, CHORES_CONSUMER) == await place(admin, CHORES_CONSUMER)
    assert await archive.consumer_names(other, subjects.JOBS) == [CHORES_CONSUMER]
    # What is set up again at the next start finds it in order.
    await ensure(other)
    after = await archive.facts(other, subjects.JOBS)
    assert after is not None
    assert (after.created, after.extent) == (made.created, made.extent)


async def test_events_that_come_while_the_log_is_copied_are_left_out_whole(
    admin: Broker, other: Broker
) -> None:
    await publish(admin, 100, 20_000)
    out = await archive.snapshot(admin, subjects.JOBS)
    writing = asyncio.create_task(publish(admin, 100))
    chunks = [chunk async for chunk in out.chunks]
    await writing
    facts = out.facts
    made = await archive.restore(other, subjects.JOBS, facts.config, facts.state, each(chunks))
    assert made.extent == facts.extent
    everything = await messages(admin, subjects.JOBS)
    assert await messages(other, subjects.JOBS) == everything[: facts.last_sequence]
    assert len(everything) == facts.last_sequence + 100


async def test_gaps_of_a_stream_that_keeps_the_latest_come_back(
    admin: Broker, other: Broker
) -> None:
    for number in range(5):
        await admin.publish("config.kind.me.same", str(number).encode())
    await admin.publish("config.kind.me.other", b"x", {"Nats-TTL": "3600s"})
    await admin.publish("config.kind.me.same", b"last")
    facts, chunks = await taken(admin, subjects.CONFIG)
    made = await archive.restore(other, subjects.CONFIG, facts.config, facts.state, each(chunks))
    assert made.extent == facts.extent == (2, facts.extent[1], 6, 7)
    assert await messages(other, subjects.CONFIG) == await messages(admin, subjects.CONFIG)


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
async def test_a_snapshot_that_was_cut_is_refused(
    admin: Broker, other: Broker, left: float
) -> None:
    await publish(admin, 100, 2000)
    facts, chunks = await taken(admin, subjects.JOBS)
    whole = b"".join(chunks)
    cut = [whole[: int(len(whole) * left)]]
    with pytest.raises(ArchiveError, match="stream JOBS was not copied"):
        await archive.restore(other, subjects.JOBS, facts.config, facts.state, each(cut))


async def test_a_snapshot_whose_bytes_have_changed_is_refused(admin: Broker, other: Broker) -> None:
    await publish(admin, 100, 2000)
    facts, chunks = await taken(admin, subjects.JOBS)
    damaged = bytearray(b"".join(chunks))
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ArchiveError):
        await archive.restore(
            other, subjects.JOBS, facts.config, facts.state, each([bytes(damaged)])
        )


async def test_a_stream_that_is_there_is_not_restored_over(admin: Broker) -> None:
    await publish(admin, 1)
    facts, chunks = await taken(admin, subjects.JOBS)
    with pytest.raises(BrokerError):
        await archive.restore(admin, subjects.JOBS, facts.config, facts.state, each(chunks))
    after = await archive.facts(admin, subjects.JOBS)
    assert after is not None
    assert (after.created, after.extent) == (facts.created, facts.extent)


async def test_a_stream_that_is_not_there_is_told_at_once(other: Broker) -> None:
    assert await archive.facts(other, "NOWHERE") is None
    with pytest.raises(UnavailableError, match="not made yet"):
        await archive.snapshot(other, "NOWHERE")


async def test_whoever_is_not_admin_may_copy_nothing(server: NatsServer, tmp_path: Path) -> None:
    gateway = await connect(server.address("gateway"))
    try:
        with pytest.raises(Exception, match="denied"):
            await archive.snapshot(gateway, subjects.CONFIG)
    finally:
        await gateway.close()
