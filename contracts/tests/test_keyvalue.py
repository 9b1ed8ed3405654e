"""Values by key, and the lines of attempts, on a real broker with real permissions."""

import asyncio
from datetime import UTC, datetime

import pytest
from contracts.stagelog import StageLine
from eventlog.broker import Broker, connect
from eventlog.errors import DeniedError
from eventlog.keyvalue import Entry, KeyValue, RevisionError
from eventlog.stagelogs import StageLogs

from contracts import subjects
from tests.support.broker import NatsServer


@pytest.fixture
async def gateway(server: NatsServer, admin: Broker):
    broker = await connect(server.address("gateway"))
    yield broker
    await broker.close()


async def test_a_key_has_one_first_value(gateway: Broker) -> None:
    values = KeyValue(gateway)
    key = subjects.config("tokens", "ada", "first")
    assert await values.get(key) is None
    revision = await values.create(key, b"one")
    assert await values.get(key) == Entry(key, b"one", revision)
    with pytest.raises(RevisionError):
        await values.create(key, b"two")


async def test_a_value_is_changed_only_by_who_has_seen_it(gateway: Broker) -> None:
    values = KeyValue(gateway)
    key = subjects.config("tokens", "ada", "changed")
    first = await values.create(key, b"one")
    second = await values.put(key, b"two", first)
    with pytest.raises(RevisionError):
        await values.put(key, b"three", first)
    assert await values.get(key) == Entry(key, b"two", second)


async def test_a_deleted_key_is_gone_and_may_be_made_again(gateway: Broker) -> None:
    values = KeyValue(gateway)
    key = subjects.config("tokens", "ada", "deleted")
    await values.create(key, b"one")
    await values.delete(key)
    assert await values.get(key) is None
    assert key not in {entry.key async for entry in values.all("config.tokens.ada.*")}
    await values.create(key, b"again")
    assert {entry.data async for entry in values.all("config.tokens.ada.deleted")} == {b"again"}


async def test_a_follower_is_told_of_what_is_there_and_of_every_change(gateway: Broker) -> None:
    values = KeyValue(gateway)
    key = subjects.config("hooks", "ada", "followed")
    await values.create(key, b"before")
    told: asyncio.Queue[tuple[str, bytes | None]] = asyncio.Queue()

    def changed(at: str, entry: Entry | None) -> None:
        told.put_nowait((at, entry.data if entry else None))

    following = asyncio.create_task(values.follow("config.hooks.>", changed))
    async with asyncio.timeout(10):
        assert await told.get() == (key, b"before")
        await values.put(key, b"after")
        assert await told.get() == (key, b"after")
        await values.delete(key)
        assert await told.get() == (key, None)
    following.cancel()


async def test_a_follower_goes_on_after_the_broker_was_killed(
    server: NatsServer, gateway: Broker
) -> None:
    values = KeyValue(gateway)
    key = subjects.config("pipelines", "ada", "survivor")
    await values.create(key, b"before")
    seen: dict[str, bytes | None] = {}
    stirred = asyncio.Event()

    def changed(at: str, entry: Entry | None) -> None:
        seen[at] = entry.data if entry else None
        stirred.set()

    following = asyncio.create_task(values.follow("config.pipelines.>", changed))
    async with asyncio.timeout(60):
        while seen.get(key) != b"before":
            stirred.clear()
            await stirred.wait()
        server.kill()
        server.start()
        other = await connect(server.address("gateway"))
        await KeyValue(other).put(key, b"after")
        while seen.get(key) != b"after":
            stirred.clear()
            await stirred.wait()
        await other.close()
    following.cancel()


async def test_a_runner_may_not_see_what_people_set_up(server: NatsServer, admin: Broker) -> None:
    runner = await connect(server.address("runner"))
    with pytest.raises(DeniedError):
        await KeyValue(runner).get(subjects.config("tokens", "ada", "first"))
    await runner.close()


async def test_lines_are_read_in_pages_and_by_attempt(server: NatsServer, gateway: Broker) -> None:
    runner = await connect(server.address("runner"))
    written, read = StageLogs(runner), StageLogs(gateway)
    arrived: asyncio.Queue[StageLine] = asyncio.Queue()
    stop = await read.watch(arrived.put_nowait)
    now = datetime.now(UTC)
    lines = [
        StageLine(job="j1", stage=stage, attempt=attempt, at=now, step=n, values={"loss": 1.0 / n})
        for stage, attempt, n in (("train", 1, 1), ("train", 2, 2), ("speak", 1, 3))
    ]
    await gateway.client.flush()
    for line in lines:
        await written.write(line)
    await runner.client.flush()
    async with asyncio.timeout(10):
        assert [await arrived.get() for _ in lines] == lines
    await stop()
    first = [stored async for stored in read.read("j1", limit=2)]
    rest = [stored async for stored in read.read("j1", after=first[-1].sequence)]
    assert [stored.line for stored in (*first, *rest)] == lines
    assert [stored.line async for stored in read.read("j1", "train", 2)] == [lines[1]]
    assert [stored async for stored in read.read("j2")] == []
    await runner.close()


async def test_what_is_refused_is_not_told(gateway: Broker) -> None:
    values = KeyValue(gateway)
    key = subjects.config("refused", "ada", "once")
    await values.create(key, b"one")
    told: asyncio.Queue[bytes | None] = asyncio.Queue()
    following = asyncio.create_task(
        values.follow("config.refused.>", lambda _, entry: told.put_nowait(entry and entry.data))
    )
    async with asyncio.timeout(10):
        assert await told.get() == b"one"
        with pytest.raises(RevisionError):
            await values.put(key, b"refused", 1_000_000)
        await values.put(key, b"two")
        assert await told.get() == b"two"
        assert told.empty()
    following.cancel()
