"""The log, the queue and the boards against a real broker."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from contracts.commands import Lane, StageCommand
from contracts.envelope import Recorded
from contracts.events import JobCancelRequested, JobRequested, JobType, StageStarted
from contracts.upcasting import UnknownEventError
from eventlog.board import Board
from eventlog.broker import Broker, BrokerAddress, connect, reach
from eventlog.errors import ConflictError, DeniedError, UnavailableError
from eventlog.index import job_ids, sequence_before
from eventlog.log import EventLog
from eventlog.queue import CommandQueue
from eventlog.reader import read_log, read_stored_log
from eventlog.server_config import make_seed, public_key
from eventlog.topology import ensure
from nats.aio.msg import Msg

from contracts import subjects
from tests.support.broker import NatsServer

REQUEST = JobRequested(type=JobType.TRAIN, owner="me")


def a_job() -> str:
    return f"job-{secrets.token_hex(4)}"


async def test_an_event_is_read_back_as_it_was_told(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    sequence = await log.tell(job, REQUEST)
    [recorded] = [item async for item in log.read_job(job)]
    assert recorded.event == REQUEST
    assert recorded.sequence == sequence
    assert recorded.source == "/myspinbot/test"


@pytest.mark.parametrize("most_bytes", [0, 1, 300, 4_000])
async def test_pages_of_a_job_are_its_events_however_small_they_are(
    admin: Broker, most_bytes: int
) -> None:
    log, job, other = EventLog(admin, "test"), a_job(), a_job()
    told = []
    for _ in range(12):
        told.append(await log.tell(job, JobCancelRequested(by="me")))
        await log.tell(other, JobCancelRequested(by="you"))
    read: list[int] = []
    sizes = []
    more = True
    while more:
        events, more = await log.read_page(job, read[-1] if read else 0, 5, most_bytes)
        read += [recorded.sequence for recorded in events]
        sizes.append(len(events))
    assert read == told
    assert max(sizes) == (5 if most_bytes in (0, 4_000) else 1)


async def test_decisions_of_one_batch_enter_the_log_together(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    first = await log.tell(job, REQUEST)
    batch = [log.record(job, JobCancelRequested(by="me")) for _ in range(3)]
    last = await log.append(batch, expected=first)
    assert [item.sequence async for item in log.read_job(job, first)] == [last - 2, last - 1, last]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_decision_on_a_job_that_moved_on_is_a_conflict(admin: Broker, count: int) -> None:
    log, job = EventLog(admin, "test"), a_job()
    first = await log.tell(job, REQUEST)
    await log.tell(job, JobCancelRequested(by="me"))
    batch = [log.record(job, JobCancelRequested(by="you")) for _ in range(count)]
    with pytest.raises(ConflictError):
        await log.append(batch, expected=first)
    assert len([item async for item in log.read_job(job)]) == 2


@pytest.mark.parametrize("count", [1, 3])
async def test_an_append_that_had_succeeded_may_be_repeated(admin: Broker, count: int) -> None:
    log, job = EventLog(admin, "test"), a_job()
    first = await log.tell(job, REQUEST)
    batch = [log.record(job, JobCancelRequested(by="me")) for _ in range(count)]
    last = await log.append(batch, expected=first)
    assert await log.append(batch, expected=first) == last
    assert len([item async for item in log.read_job(job)]) == 1 + count


async def test_who_has_just_read_a_job_appends_without_asking_where_it_ends(
    admin: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other, job = EventLog(admin, "test"), EventLog(admin, "other"), a_job()
    await log.tell(job, REQUEST)
    await other.tell(job, JobCancelRequested(by="you"))
    state = await log.fold(job)

    async def asked(subject: str) -> None:
        raise AssertionError(f"the end of {subject} was asked for")

    monkeypatch.setattr(log, "last", asked)
    sequence = await log.tell(job, JobCancelRequested(by="me"))
    assert sequence > state.sequence
    monkeypatch.undo()
    await other.tell(job, JobCancelRequested(by="them"))
    # What is read of a log that has moved on takes nothing away from who knows more.
    assert await log.fold(job, state) != state


async def test_only_one_of_two_requests_begins_a_job(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    await log.append([log.record(job, REQUEST)], expected=0)
    with pytest.raises(ConflictError):
        await log.append([log.record(job, REQUEST)], expected=0)


async def test_a_job_of_many_events_is_read_whole(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    for _ in range(30):
        state = await log.fold(job)
        await log.append([log.record(job, REQUEST) for _ in range(90)], expected=state.sequence)
    assert len([item async for item in log.read_job(job)]) == 2700


async def test_the_reader_sees_every_event_once_and_then_those_that_come(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    before = (await log.position()).last_sequence
    for _ in range(50):
        await log.tell(job, REQUEST)
    seen: list[Recorded] = []

    async def read() -> None:
        async for batch in read_log(admin, before, window=7):
            seen.extend(batch)
            if len(seen) == 60:
                return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(read())
        for _ in range(10):
            await log.tell(job, REQUEST)
    assert [item.sequence for item in seen] == list(range(before + 1, before + 61))


async def test_the_reader_goes_on_after_the_broker_was_killed(tmp_path_factory) -> None:
    from tests.support.broker import nats_server

    with nats_server(tmp_path_factory.mktemp("killed"), sync_interval="always") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        log, job = EventLog(broker, "test"), a_job()
        seen: list[int] = []

        async def read() -> None:
            async for batch in read_log(broker, 0):
                seen.extend(item.sequence for item in batch)
                if len(seen) == 6:
                    return

        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            group.create_task(read())
            for _ in range(3):
                await log.tell(job, REQUEST)
            server.kill()
            server.start()
            for _ in range(3):
                await log.tell(job, REQUEST)
        assert seen == [1, 2, 3, 4, 5, 6]
        await broker.close()


async def test_a_service_that_says_what_it_may_not_is_told_at_once(
    server: NatsServer, admin: Broker
) -> None:
    broker = await connect(server.address("runner"))
    with pytest.raises(DeniedError):
        await EventLog(broker, "runner").tell(a_job(), REQUEST)
    await EventLog(broker, "runner").tell(
        a_job(), StageStarted(stage="s", attempt=1, runner="r", device="cpu")
    )
    await broker.close()


def a_command(job: str) -> StageCommand:
    return StageCommand(
        job=job,
        stage="train",
        attempt=1,
        kind="train_lora",
        engine="mini",
        lane=Lane.GPU,
        params={},
        inputs={},
        seed=0,
    )


async def test_a_command_is_queued_once_and_delivered_until_it_is_done(
    server: NatsServer, admin: Broker
) -> None:
    runner = await connect(server.address("runner"))
    planner = await connect(server.address("planner"))
    queue = CommandQueue(runner)
    command = a_command(a_job())
    assert await CommandQueue(planner).publish(command, "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    assert not await CommandQueue(planner).publish(command, None)
    consumer = await queue.open("train_lora", Lane.GPU)
    delivery = await queue.pull(consumer)
    assert delivery is not None
    assert StageCommand.model_validate_json(delivery.body) == command
    assert await queue.pull(consumer) is None
    await delivery.later(0.01)
    again = await queue.pull(consumer, wait_s=5)
    assert again is not None
    assert again.number == 2
    await again.done()
    assert await queue.pull(consumer) is None
    await runner.close()
    await planner.close()


async def test_a_board_shows_the_latest_of_each_subject(server: NatsServer, admin: Broker) -> None:
    runner = await connect(server.address("runner"))
    gateway = await connect(server.address("gateway"))
    job = a_job()
    posted = Board(runner, subjects.PROGRESS, subjects.ALL_PROGRESS)
    shown = Board(gateway, subjects.PROGRESS, subjects.ALL_PROGRESS)
    for stage in ("a", "b"):
        await posted.post(subjects.progress(job, stage), b"old")
        await posted.post(subjects.progress(job, stage), b"new")
    notes = {note.subject: note.data async for note in shown.all(subjects.job_progress(job))}
    assert notes == {subjects.progress(job, "a"): b"new", subjects.progress(job, "b"): b"new"}
    assert [note async for note in shown.all(subjects.job_progress("nobody"))] == []
    await runner.close()
    await gateway.close()


async def test_any_nats_client_can_read_the_log_as_it_grows(
    server: NatsServer, admin: Broker
) -> None:
    observer = server.address("observer")
    client = await nats.connect(
        observer.url, nkeys_seed=str(observer.seed_file), inbox_prefix="_INBOX_observer"
    )
    subscription = await client.subscribe("jobs.>")
    # The first one's ping may overtake the subscription.
    await client.flush()
    await client.flush()
    job = a_job()
    await EventLog(admin, "test").tell(job, REQUEST)
    message = await subscription.next_msg(5)
    assert message.subject == f"jobs.{job}.events.JobRequested"
    assert message.headers is not None
    assert message.headers["ce-type"] == "myspinbot.JobRequested"
    assert json.loads(message.data)["owner"] == "me"
    await client.close()


# Each role, something it must be able to say, and something it must not.
MATRIX = [
    ("gateway", "jobs.x.events.JobRequested", "jobs.x.events.JobCompleted"),
    ("gateway", "query.jobs.get", "cmd.stage.k.cpu.j.s.1"),
    ("planner", "jobs.x.events.JobPlanned", "jobs.x.events.JobRequested"),
    ("planner", "cmd.stage.k.cpu.j.s.1", "jobs.x.events.StageCompleted"),
    ("runner", "jobs.x.events.StageStarted", "jobs.x.events.JobRequested"),
    ("runner", "progress.x.s", "cmd.stage.k.cpu.j.s.1"),
    ("projector", "$JS.API.STREAM.INFO.JOBS", "jobs.x.events.JobRequested"),
    ("observer", "$JS.API.STREAM.INFO.JOBS", "jobs.x.events.JobRequested"),
    ("observer", "$JS.API.STREAM.INFO.JOBS", "$JS.API.STREAM.DELETE.JOBS"),
    ("gateway", "jobs.x.events.JobDeleted", "progress.x.s"),
    ("gateway", "config.tokens.me.x", "logs.x.s.1"),
    ("gateway", "delivered.me.hook.x", "$JS.API.STREAM.PURGE.CONFIG"),
    ("gateway", "deliveries.me.hook.x", "$JS.API.CONSUMER.DELETE.JOBS.gateway-chores"),
    ("planner", "jobs.x.events.JobFailed", "jobs.x.events.JobDeleted"),
    ("planner", "$JS.API.STREAM.INFO.JOBS", "$JS.API.DIRECT.GET.CONFIG"),
    ("planner", "$JS.API.STREAM.INFO.JOBS", "$JS.API.CONSUMER.CREATE.JOBS.gateway-chores"),
    ("runner", "logs.x.s.1", "config.tokens.me.x"),
    ("runner", "jobs.x.events.StageSampled", "$JS.API.DIRECT.GET.CONFIG"),
    ("projector", "$JS.API.STREAM.INFO.JOBS", "$JS.API.DIRECT.GET.CONFIG"),
    ("projector", "$JS.API.STREAM.INFO.JOBS", "$JS.API.CONSUMER.MSG.NEXT.JOBS.gateway-chores"),
    ("observer", "$JS.API.STREAM.INFO.JOBS", "$JS.API.DIRECT.GET.STAGELOGS"),
    ("observer", "$JS.API.STREAM.INFO.JOBS", "$JS.API.CONSUMER.DELETE.JOBS.gateway-chores"),
]


@pytest.mark.parametrize(("role", "may", "may_not"), MATRIX)
async def test_each_role_may_say_what_it_must_and_no_more(
    server: NatsServer, admin: Broker, role: str, may: str, may_not: str
) -> None:
    broker = await connect(server.address(role))
    with pytest.raises(DeniedError):
        await broker.request(may_not, b"{}", timeout=5)
    try:
        await broker.request(may, b"{}", timeout=1)
    except UnavailableError:
        # Nobody answers a query here: it was let through, and that is the point.
        assert may.startswith("query.")
    await broker.close()


@pytest.mark.parametrize("role", ["planner", "runner", "projector", "observer"])
async def test_what_people_have_set_up_is_heard_by_nobody_who_need_not(
    server: NatsServer, admin: Broker, role: str
) -> None:
    broker = await connect(server.address(role))
    heard: dict[str, list[bytes]] = {"admin": [], role: []}

    def listener(name: str) -> Callable[[Msg], Awaitable[None]]:
        async def hear(msg: Msg) -> None:
            heard[name].append(msg.data)

        return hear

    for name, listening in (("admin", admin), (role, broker)):
        for subject in ("config.>", "deliveries.>", "delivered.>"):
            await listening.client.subscribe(subject, cb=listener(name))
        await listening.client.flush()
    await admin.publish(f"config.tokens.me.{role}", b"secret")
    await admin.publish(f"deliveries.me.hook.{role}", b"secret")
    await admin.publish(f"delivered.me.hook.{role}", b"secret")
    for listening in (admin, broker):
        await listening.client.flush()
    async with asyncio.timeout(5):
        while len(heard["admin"]) < 3:
            await admin.client.flush()
    assert heard[role] == []
    await broker.close()


async def test_a_worker_that_is_cancelled_as_a_message_comes_stops(
    server: NatsServer, admin: Broker
) -> None:
    broker = await connect(server.address("runner"))
    consumer = await CommandQueue(broker).open("never", Lane.CPU)

    async def work() -> None:
        while True:
            await broker.pull("CMD", consumer)

    # Each answer takes about as long as the pause: sooner or later the two meet.
    for number in range(300):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.0002 * (number % 20))
        task.cancel()
        _, stuck = await asyncio.wait({task}, timeout=3)
        assert not stuck
    await broker.close()


async def test_an_event_that_could_not_be_read_again_never_enters_the_log(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    deep: list[Any] = []
    for _ in range(240):
        deep = [deep]
    event = JobRequested(type=JobType.TRAIN, owner="me", params={"train_lora": {"steps": deep}})
    before = (await log.position()).last_sequence
    with pytest.raises(UnknownEventError):
        await log.tell(job, event)
    assert (await log.position()).last_sequence == before


async def test_a_reader_of_some_subjects_is_sent_nothing_else(admin: Broker) -> None:
    log, job, other = EventLog(admin, "test"), a_job(), a_job()
    begin = await log.tell(job, REQUEST)
    await log.tell(other, REQUEST)
    cancelled = await log.tell(job, JobCancelRequested(by="me"))
    only = (subjects.event(job, "JobRequested"), subjects.event("*", "JobCancelRequested"))
    read = []
    async for batch in read_stored_log(admin, begin - 1, only=only):
        read += [stored.sequence for stored in batch]
        if read[-1] >= cancelled:
            break
    assert read == [begin, cancelled]
    newest = await log.last(subjects.event(job, "*"))
    assert newest is not None
    assert newest.sequence == cancelled
    assert await log.last(subjects.event(a_job(), "*")) is None


async def test_a_time_and_a_job_are_found_without_reading_the_log(admin: Broker) -> None:
    log, job = EventLog(admin, "test"), a_job()
    before = await log.tell(a_job(), REQUEST)
    moment = datetime.now(UTC)
    first = await log.tell(job, REQUEST)
    await log.tell(job, JobCancelRequested(by="me"))
    assert await sequence_before(admin, moment) == before == first - 1
    assert await sequence_before(admin, moment - timedelta(days=1)) == 0
    future = moment + timedelta(days=1)
    assert await sequence_before(admin, future) == (await log.position()).last_sequence
    ids = await job_ids(admin)
    assert job in ids
    assert ids == sorted(set(ids))


async def test_who_cannot_get_in_is_told_why(server: NatsServer, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.nk"
    stranger.write_bytes(make_seed())
    known = server.address("observer")
    with pytest.raises(DeniedError, match="does not know this user"):
        await reach(BrokerAddress(known.url, "observer", stranger))
    with pytest.raises(UnavailableError, match="nobody answers"):
        await reach(BrokerAddress("nats://127.0.0.1:9", "observer", known.seed_file), within_s=0.5)
    with pytest.raises(ValueError, match="no nkey seed"):
        public_key(b"rubbish")
    broker = await reach(known)
    assert broker.connected
    await broker.close()
