"""Values by key and the lines of attempts, against a real broker and as the roles that use them."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from contracts.stagelog import Level, StageLine
from eventlog.broker import Broker, connect
from eventlog.errors import BrokerError
from eventlog.keyvalue import Entry, KeyValue, RevisionError
from eventlog.receipt import Receipt
from eventlog.stagelogs import StageLogs, StoredLine
from eventlog.topology import DELIVERIES_CONSUMER

from contracts import subjects
from tests.support.broker import NatsServer

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
async def gateway(server: NatsServer, admin: Broker) -> AsyncIterator[Broker]:
    broker = await connect(server.address("gateway"))
    yield broker
    await broker.close()


@pytest.fixture
async def runner(server: NatsServer, admin: Broker) -> AsyncIterator[Broker]:
    broker = await connect(server.address("runner"))
    yield broker
    await broker.close()


def a_kind() -> str:
    """Keys of its own for each test."""
    return f"kind-{secrets.token_hex(4)}"


async def test_a_value_is_read_back_with_the_revision_it_got(gateway: Broker) -> None:
    values, key = KeyValue(gateway), subjects.config(a_kind(), "me", "one")
    assert await values.get(key) is None
    revision = await values.create(key, b"first")
    assert await values.get(key) == Entry(key, b"first", revision)
    later = await values.put(key, b"second", revision)
    assert later > revision
    assert await values.get(key) == Entry(key, b"second", later)


async def test_a_change_by_who_has_not_seen_the_last_one_is_refused(gateway: Broker) -> None:
    values, key = KeyValue(gateway), subjects.config(a_kind(), "me", "one")
    revision = await values.create(key, b"first")
    await values.put(key, b"second")
    with pytest.raises(RevisionError, match="not at revision"):
        await values.put(key, b"third", revision)
    with pytest.raises(RevisionError):
        await values.delete(key, revision)
    entry = await values.get(key)
    assert entry is not None
    assert entry.data == b"second"


async def test_of_two_that_create_a_key_one_succeeds(gateway: Broker) -> None:
    values, key = KeyValue(gateway), subjects.config(a_kind(), "me", "one")
    tries = [values.create(key, str(n).encode()) for n in range(5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, RevisionError) for result in results) == 4


async def test_a_deleted_key_has_no_value_and_can_be_made_again(gateway: Broker) -> None:
    values, kind = KeyValue(gateway), a_kind()
    key = subjects.config(kind, "me", "one")
    first = await values.create(key, b"first")
    await values.delete(key, first)
    assert await values.get(key) is None
    assert [entry async for entry in values.all(f"config.{kind}.>")] == []
    await values.delete(key)
    assert await values.create(key, b"second") > first
    entry = await values.get(key)
    assert entry is not None
    assert entry.data == b"second"


async def test_all_values_of_a_filter_are_told_however_many(gateway: Broker, admin: Broker) -> None:
    values, kind = KeyValue(gateway), a_kind()
    # More than the broker gives in one answer.
    names = {f"n{number:04}" for number in range(2500)}
    for name in names:
        await admin.client.publish(subjects.config(kind, "me", name), name.encode())
    await KeyValue(admin).put(subjects.config(kind, "you", "other"), b"other")
    found = [entry async for entry in values.all(f"config.{kind}.me.>")]
    assert {entry.data.decode() for entry in found} == names
    assert len(found) == len(names)
    everybody = [entry async for entry in values.all(f"config.{kind}.>")]
    assert len(everybody) == len(names) + 1


async def test_a_value_with_a_time_of_its_own_ends_with_it(gateway: Broker) -> None:
    values, key = KeyValue(gateway), subjects.config(a_kind(), "me", "one")
    await values.create(key, b"brief", ttl_s=1)
    async with asyncio.timeout(20):
        while await values.get(key) is not None:
            pass
    await values.create(key, b"again")


async def test_who_follows_sees_what_is_there_and_then_every_change(gateway: Broker) -> None:
    values, kind = KeyValue(gateway), a_kind()
    one, two = (subjects.config(kind, "me", name) for name in ("one", "two"))
    await values.create(one, b"first")
    known: dict[str, bytes | None] = {}
    moved, started = asyncio.Event(), asyncio.Event()

    def changed(key: str, entry: Entry | None) -> None:
        known[key] = entry.data if entry else None
        moved.set()

    async def becomes(expected: dict[str, bytes | None]) -> None:
        async with asyncio.timeout(20):
            while known != expected:
                moved.clear()
                await moved.wait()

    task = asyncio.create_task(values.follow(f"config.{kind}.>", changed, started.set))
    try:
        async with asyncio.timeout(20):
            await started.wait()
        assert known == {one: b"first"}
        revision = await values.create(two, b"second")
        await becomes({one: b"first", two: b"second"})
        await values.put(two, b"third", revision)
        await becomes({one: b"first", two: b"third"})
        await values.delete(one)
        await becomes({one: None, two: b"third"})
    finally:
        task.cancel()


def a_line(job: str, stage: str = "a", attempt: int = 1, step: int = 0) -> StageLine:
    return StageLine(
        job=job,
        stage=stage,
        attempt=attempt,
        at=T0,
        level=Level.INFO,
        message=f"step {step}",
        step=step,
        values={"loss": 0.5},
    )


async def written(logs: StageLogs, lines: list[StageLine]) -> None:
    for line in lines:
        await logs.write(line)


async def read(logs: StageLogs, count: int, job: str, **where: object) -> list[StoredLine]:
    """The lines, once there are so many: their writer does not wait for them."""
    async with asyncio.timeout(20):
        while True:
            found = [stored async for stored in logs.read(job, **where)]  # type: ignore[arg-type]
            if len(found) >= count:
                return found


async def test_lines_are_read_in_order_by_stage_attempt_and_page(
    gateway: Broker, runner: Broker
) -> None:
    job, shown = f"job-{secrets.token_hex(4)}", StageLogs(gateway)
    lines = [
        *(a_line(job, "a", 1, step) for step in range(3)),
        *(a_line(job, "a", 2, step) for step in range(2)),
        a_line(job, "b"),
    ]
    await written(StageLogs(runner), lines)
    found = await read(shown, len(lines), job)
    assert [stored.line for stored in found] == lines
    assert [item.line for item in await read(shown, 5, job, stage="a")] == lines[:5]
    assert [item.line for item in await read(shown, 2, job, stage="a", attempt=2)] == lines[3:5]
    first = await read(shown, 4, job, limit=4)
    assert [item.line for item in first] == lines[:4]
    rest = await read(shown, 2, job, after=first[-1].sequence)
    assert [item.line for item in rest] == lines[4:]
    assert await shown.end(job) == found[-1].sequence
    assert await shown.end("nobody") == 0
    assert [item async for item in shown.read("nobody")] == []


async def test_lines_are_watched_as_they_come_and_what_is_no_line_is_passed_over(
    gateway: Broker, runner: Broker
) -> None:
    job, seen, came = f"job-{secrets.token_hex(4)}", [], asyncio.Event()

    def received(line: StageLine) -> None:
        if line.job == job:
            seen.append(line)
            came.set()

    stop = await StageLogs(gateway).watch(received)
    await gateway.client.flush()
    await runner.client.publish(subjects.stage_log(job, "a", 1), b"{}")
    await StageLogs(runner).write(a_line(job))
    async with asyncio.timeout(20):
        await came.wait()
    await stop()
    assert seen == [a_line(job)]


async def test_a_delivery_is_queued_once_taken_once_and_told_of(gateway: Broker) -> None:
    name = f"d-{secrets.token_hex(4)}"
    due = subjects.delivery("me", "hook", name)
    headers = {"Nats-Msg-Id": name}
    await gateway.publish(due, b"due", headers)
    again = await gateway.publish(due, b"due", headers)
    assert again.get("duplicate")
    msg = await gateway.pull(subjects.DELIVERIES, DELIVERIES_CONSUMER, 5)
    assert msg is not None
    assert (msg.subject, msg.data) == (due, b"due")
    await Receipt(gateway, msg.reply).done()
    assert await gateway.pull(subjects.DELIVERIES, DELIVERIES_CONSUMER) is None
    told = KeyValue(gateway, subjects.DELIVERED)
    key = subjects.delivered("me", "hook", name)
    revision = await told.put(key, json.dumps({"state": "delivered"}).encode(), 0)
    assert [entry.revision async for entry in told.all("delivered.me.hook.>")] == [revision]


async def test_a_time_for_a_value_where_none_can_be_kept_is_refused_with_a_reason(
    gateway: Broker,
) -> None:
    told, key = KeyValue(gateway, subjects.DELIVERED), subjects.delivered("me", "hook", "x")
    with pytest.raises(BrokerError, match="TTL"):
        await told.put(key, b"1", ttl_s=5)
