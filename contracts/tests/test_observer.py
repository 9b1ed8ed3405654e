"""The observer's credentials with a plain NATS client: they open much, and change nothing."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest
from contracts.commands import Lane, StageCommand
from contracts.events import JobCancelRequested, JobRequested, JobType
from contracts.subjects import CommandSubject
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.queue import CommandQueue
from eventlog.topology import CHORES_CONSUMER
from nats.aio.client import Client

from contracts import subjects
from tests.support.broker import NatsServer

LOOKED_AT = ("JOBS", "CMD", "DLQ", "PROGRESS", "RUNNERS", "CHECKPOINTS")
CERTAINLY_REFUSED = "nobody.may"
LETTER = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.CMD.cpu"


class Watcher:
    """A client that knows the address, the seed and the prefix of inboxes, and nothing else."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.refused: list[str] = []
        self.heard = asyncio.Event()

    def note(self, error: Exception) -> None:
        self.refused.append(str(error).lower())
        if CERTAINLY_REFUSED in self.refused[-1]:
            self.heard.set()

    async def ask(self, subject: str, body: Any = None) -> dict[str, Any]:
        reply = await self.client.request(subject, json.dumps(body).encode() if body else b"", 2)
        return json.loads(reply.data) if reply.data.startswith(b"{") else dict(reply.headers or {})

    async def is_refused(self, subject: str, body: Any = None, *, listening: bool = False) -> bool:
        """Whether the broker says that we may not."""
        self.refused.clear()
        self.heard.clear()
        if listening:
            await self.client.subscribe(subject)
        else:
            await self.client.publish(subject, json.dumps(body).encode() if body else b"")
        # Errors come in order: what is certainly refused comes after what may be.
        await self.client.publish(CERTAINLY_REFUSED, b"")
        async with asyncio.timeout(5):
            await self.heard.wait()
        return any(f'"{subject.lower()}"' in told for told in self.refused)


@pytest.fixture
async def watcher(server: NatsServer, admin: Broker) -> AsyncIterator[Watcher]:
    address = server.address("observer")
    watcher: Watcher | None = None

    async def note(error: Exception) -> None:
        if watcher is not None:
            watcher.note(error)

    client = await nats.connect(
        address.url,
        nkeys_seed=str(address.seed_file),
        inbox_prefix="_INBOX_observer",
        error_cb=note,
    )
    watcher = Watcher(client)
    yield watcher
    await client.close()


@pytest.fixture
async def job(admin: Broker) -> str:
    """A job of which there is something in every stream that is looked at."""
    job = f"job-{secrets.token_hex(4)}"
    await EventLog(admin, "test").tell(job, JobRequested(type=JobType.TRAIN, owner="me"))
    command = StageCommand(
        job=job,
        stage="train_lora",
        attempt=1,
        kind="train_lora",
        engine="mini",
        lane=Lane.CPU,
        params={},
        inputs={},
        seed=0,
    )
    await CommandQueue(admin).publish(command, None)
    await admin.publish(subjects.progress(job, "train_lora"), b"{}")
    await admin.publish(subjects.runner("r1"), b"{}")
    await admin.publish(subjects.LOG_CHECKPOINTS, b"{}")
    await admin.publish(LETTER, b"{}")
    return job


async def test_streams_and_consumers_are_looked_at(watcher: Watcher, job: str) -> None:
    assert (await watcher.ask("$JS.API.INFO"))["streams"] >= len(LOOKED_AT)
    assert "data" in await watcher.ask("$SYS.REQ.USER.INFO")
    assert set(LOOKED_AT) <= set((await watcher.ask("$JS.API.STREAM.NAMES"))["streams"])
    assert len((await watcher.ask("$JS.API.STREAM.LIST"))["streams"]) >= len(LOOKED_AT)
    for stream in LOOKED_AT:
        info = await watcher.ask(f"$JS.API.STREAM.INFO.{stream}", {"subjects_filter": ">"})
        assert info["state"]["messages"] >= 1, stream
        assert info["state"]["subjects"]
    chores = await watcher.ask("$JS.API.CONSUMER.NAMES.DLQ")
    assert chores["consumers"] == ["planner"]
    assert (await watcher.ask("$JS.API.CONSUMER.INFO.DLQ.planner"))["num_pending"] >= 0
    assert "consumers" in await watcher.ask("$JS.API.CONSUMER.LIST.CMD")


async def test_single_messages_are_looked_at(watcher: Watcher, job: str) -> None:
    for stream in LOOKED_AT:
        info = await watcher.ask(f"$JS.API.STREAM.INFO.{stream}")
        last = info["state"]["last_seq"]
        found = await watcher.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": last})
        assert found["message"]["seq"] == last
    jetstream = watcher.client.jetstream()
    event = await jetstream.get_last_msg("JOBS", subjects.event(job, "JobRequested"), direct=True)
    assert event.headers is not None
    assert event.headers["ce-subject"] == job


async def test_the_past_is_read_with_the_consumer_of_any_client(watcher: Watcher, job: str) -> None:
    ordered = await watcher.client.jetstream().subscribe(
        subjects.job_events(job), stream="JOBS", ordered_consumer=True
    )
    first = await ordered.next_msg(2)
    assert json.loads(first.data)["owner"] == "me"


async def test_a_long_past_is_read_too(watcher: Watcher, admin: Broker) -> None:
    log, job, count = EventLog(admin, "test"), f"job-{secrets.token_hex(4)}", 3000
    last = await log.tell(job, JobRequested(type=JobType.TRAIN, owner="me"))
    for _ in range(0, count, 500):
        many = [log.record(job, JobCancelRequested(by="me" * 30)) for _ in range(500)]
        last = await log.append(many, last)
    ordered = await watcher.client.jetstream().subscribe(
        subjects.event(job, "JobCancelRequested"), stream="JOBS", ordered_consumer=True
    )
    for _ in range(count):
        await ordered.next_msg(5)
    assert not watcher.refused


@pytest.mark.parametrize(
    "subject",
    [
        subjects.ALL_EVENTS,
        subjects.ALL_COMMANDS,
        subjects.ALL_PROGRESS,
        subjects.ALL_RUNNERS,
        subjects.ALL_PLANNERS,
        subjects.ALL_CHECKPOINTS,
        *subjects.ADVISORIES,
    ],
)
async def test_what_happens_is_heard(watcher: Watcher, subject: str) -> None:
    assert not await watcher.is_refused(subject, listening=True)


async def test_a_new_event_is_heard_with_its_envelope(watcher: Watcher, admin: Broker) -> None:
    live = await watcher.client.subscribe(subjects.ALL_EVENTS)
    await watcher.client.flush()
    job = f"job-{secrets.token_hex(4)}"
    await EventLog(admin, "test").tell(job, JobRequested(type=JobType.TRAIN, owner="me"))
    heard = await live.next_msg(2)
    assert heard.subject == subjects.event(job, "JobRequested")
    assert heard.headers is not None
    assert heard.headers["ce-type"] == "myspinbot.JobRequested"


COMMAND = str(CommandSubject("train_lora", Lane.CPU, "j", "train_lora", 1))


@pytest.mark.parametrize(
    "subject",
    [
        subjects.event("j", "JobRequested"),
        subjects.event("j", "StageCompleted"),
        COMMAND,
        subjects.progress("j", "s"),
        subjects.runner("r1"),
        subjects.planner("p1"),
        subjects.stop("j", "s", 1),
        subjects.stage_log("j", "s", 1),
        subjects.config("tokens", "me", "t"),
        subjects.delivery("me", "h", "d"),
        subjects.LOG_CHECKPOINTS,
        subjects.query("jobs.get"),
        "$JS.ACK.CMD.worker.1.1.1.1.1",
        "$JS.ACK.JOBS.gateway-chores.1.1.1.1.1",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.UPDATE.JOBS",
        "$JS.API.STREAM.DELETE.JOBS",
        "$JS.API.STREAM.PURGE.CMD",
        "$JS.API.STREAM.RESTORE.JOBS",
        "$JS.API.STREAM.SNAPSHOT.CONFIG",
        "$JS.API.STREAM.MSG.DELETE.JOBS",
        "$JS.API.STREAM.MSG.GET.CONFIG",
        "$JS.API.DIRECT.GET.CONFIG",
        "$JS.API.STREAM.INFO.CONFIG",
        "$JS.API.CONSUMER.CREATE.CMD.mine",
        "$JS.API.CONSUMER.CREATE.CMD",
        "$JS.API.CONSUMER.CREATE.DLQ.mine",
        "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.mine",
        "$JS.API.CONSUMER.DELETE.CMD.worker",
        "$JS.API.CONSUMER.DELETE.DLQ.planner",
        "$JS.API.CONSUMER.MSG.NEXT.CMD.worker",
        "$JS.API.CONSUMER.MSG.NEXT.DLQ.planner",
        "$JS.API.CONSUMER.PAUSE.JOBS.reader",
        "$JS.API.CONSUMER.RESET.JOBS.reader",
        "$JS.API.CONSUMER.UNPIN.JOBS.reader",
        f"$JS.API.CONSUMER.CREATE.JOBS.{CHORES_CONSUMER}",
        f"$JS.API.CONSUMER.DELETE.JOBS.{CHORES_CONSUMER}",
        f"$JS.API.CONSUMER.MSG.NEXT.JOBS.{CHORES_CONSUMER}",
        "$JS.API.CONSUMER.NAMES.JOBS",
        "$JS.API.CONSUMER.LIST.JOBS",
    ],
)
async def test_nothing_is_said_that_changes_anything(watcher: Watcher, subject: str) -> None:
    assert await watcher.is_refused(subject, {"seq": 1})


@pytest.mark.parametrize(
    "subject",
    [
        subjects.ALL_CONFIG,
        subjects.ALL_STAGE_LOGS,
        subjects.ALL_DELIVERIES,
        subjects.query(">"),
        "_INBOX_gateway.>",
        "_INBOX.>",
        "$JS.API.>",
        ">",
    ],
)
async def test_what_is_others_is_not_heard(watcher: Watcher, subject: str) -> None:
    assert await watcher.is_refused(subject, listening=True)
