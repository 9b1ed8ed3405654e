"""A home with real storage, filled as services would, and all that is in it for comparison."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from contracts.artifacts import Artifact
from contracts.graph import Graph, Stage
from eventlog import archive
from eventlog.broker import API, Broker, connect
from eventlog.checkpoints import Notary
from eventlog.log import EventLog
from eventlog.topology import CHORES_CONSUMER
from myspinbot.backup.installation import Installation, at_home
from myspinbot.backup.streams import order
from myspinbot.embedded import stack
from myspinbot.embedded.home import Home
from myspinbot.exchange.notary import signer_of
from servicekit.objects import ObjectStore, open_store

from contracts import events as e
from contracts import subjects
from tests.support.ports import free_ports
from tests.support.service import Program

Messages = list[dict[str, Any]]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Contents:
    """Everything in an installation that must not be lost."""

    streams: dict[str, Messages]
    consumers: dict[str, Any]
    objects: dict[str, tuple[str, str]]
    """Media type and hash by key."""


async def contents(installation: Installation) -> Contents:
    broker = await connect(installation.broker)
    try:
        streams = {name: await messages(broker, name) for name in order()}
        consumers = {
            name: await place(broker, name, consumer)
            for name in order()
            for consumer in await archive.consumer_names(broker, name)
        }
    finally:
        await broker.close()
    async with open_store(installation.store) as store:
        found = [listed.key async for listed in store.entries("")]
        told_of = await together(lambda key: described(store, key), found)
    return Contents(streams, consumers, dict(zip(found, told_of, strict=True)))


async def described(store: ObjectStore, key: str) -> tuple[str, str]:
    media_type, chunks = await store.open(key)
    content = b"".join([chunk async for chunk in chunks])
    return media_type, hashlib.sha256(content).hexdigest()


async def messages(broker: Broker, stream: str) -> Messages:
    """All messages of a stream with sequences, times and headers."""
    state = (await broker.api(f"STREAM.INFO.{stream}"))["state"]
    sequences = range(int(state["first_seq"]), int(state["last_seq"]) + 1)

    async def one(sequence: int) -> dict[str, Any] | None:
        body = json.dumps({"seq": sequence}).encode()
        reply = await broker.request(f"{API}STREAM.MSG.GET.{stream}", body)
        message: dict[str, Any] | None = json.loads(reply.data).get("message")
        return message

    return [found for found in await together(one, sequences) if found is not None]


async def together(do: Callable[[Item], Awaitable[Result]], items: Iterable[Item]) -> list[Result]:
    """Do it for all, some at once."""
    listed = list(items)
    done: list[Result] = []
    for first in range(0, len(listed), 50):
        done += await asyncio.gather(*(do(item) for item in listed[first : first + 50]))
    return done


async def place(broker: Broker, stream: str, consumer: str) -> dict[str, Any]:
    info = await broker.api(f"CONSUMER.INFO.{stream}.{consumer}")
    ends = {name: info[name]["stream_seq"] for name in ("delivered", "ack_floor")}
    return {**ends, "pending": info["num_ack_pending"], "unread": info["num_pending"]}


def rows(home: Home) -> dict[str, list[Any]]:
    """All rows of the views but when the log was created, which a restore changes."""
    found = {}
    with closing(sqlite3.connect(home.data / "views.db")) as connection:
        connection.row_factory = sqlite3.Row
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in listed.fetchall():
            table = connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608
            found[name] = sorted(
                tuple(str(row[key]) for key in row.keys() if key != "stream_created")  # noqa: SIM118
                for row in table
            )
    return found


def keys(home: Home) -> dict[str, bytes]:
    return {
        path.relative_to(home.keys).as_posix(): path.read_bytes()
        for path in home.keys.rglob("*")
        if path.is_file()
    }


async def told(broker: Broker, store: ObjectStore, job: str, size: int = 5000) -> None:
    """A job that went well, with the objects that its events name."""

    async def made(name: str) -> tuple[Artifact, ...]:
        key = f"jobs/{job}/{name}"
        return (await store.put(key, secrets.token_bytes(size), "image/png"),)

    photos = await made("photos")
    outputs = {"faces": await made("faces")}
    stage = Stage(id="prepare", kind="prepare_dataset")
    asked = e.JobRequested(type=e.JobType.TRAIN, owner="me", inputs={"photos": photos})
    last = await EventLog(broker, "gateway").tell(job, asked)
    decided: list[e.Event] = [
        e.JobPlanned(graph=Graph(stages=(stage,))),
        e.StageReused(
            stage="prepare",
            from_job="earlier",
            from_stage="prepare",
            input_hash="0" * 64,
            outputs=outputs,
            metrics={"seconds": 1.5},
        ),
        e.JobCompleted(),
    ]
    log = EventLog(broker, "planner")
    await log.append([log.record(job, event) for event in decided], expected=last)


async def filled(installation: Installation, jobs: int = 5) -> None:
    """Jobs, what people have set up, lines, deliveries, a checkpoint, and chores half done."""
    broker = await connect(installation.broker)
    try:
        async with open_store(installation.store) as store:
            for number in range(jobs):
                await told(broker, store, f"job-{number}")
            await store.put("large", secrets.token_bytes(9 << 20), "video/mp4")
            await store.put("empty", b"", "text/plain")
        for number in range(3):
            await broker.publish("config.tokens.me.one", str(number).encode())
        await broker.publish("config.webhooks.me.hook", b'{"url":"http://example"}')
        await broker.publish("config.uploads.me.late", b"x", {"Nats-TTL": "3600s"})
        await broker.publish("logs.job-0.prepare.1", b"a line")
        await broker.publish("deliveries.me.hook.one", b"{}", {"Nats-Msg-Id": "one"})
        await broker.publish("delivered.me.hook.two", b"{}")
        assert installation.keys is not None
        signer = signer_of(installation.keys / "nats" / "notary.nk")
        assert await Notary(broker, signer).sign() is not None
        msg = await broker.pull(subjects.JOBS, CHORES_CONSUMER, 5)
        assert msg is not None
        await broker.client.publish(msg.reply, b"+ACK")
        await broker.pull(subjects.JOBS, CHORES_CONSUMER, 5)
        await broker.client.flush()
    finally:
        await broker.close()


def project(installation: Installation, folder: Path) -> None:
    """Let a real projector fill the views up to the end of the log."""
    (port,) = free_ports(1)
    assert installation.broker.seed_file is not None
    settings = {
        "MYSPINBOT_NATS_URL": installation.broker.url,
        "MYSPINBOT_NATS_SEED": str(installation.broker.seed_file.with_name("projector.nk")),
        "MYSPINBOT_DATABASE_URL": installation.views or "",
        "MYSPINBOT_ADMIN_PORT": str(port),
        "MYSPINBOT_SPANS_DIR": str(folder),
    }
    ready = f"http://127.0.0.1:{port}/ready"
    program = Program("projector.main", settings, ready, folder / "projector.log")
    try:
        program.start()
        assert program.stop() == 0
    finally:
        program.kill()


def within(home: Home, work: Callable[[Installation], Any]) -> Any:
    """Do something with broker and object store of a home, which run meanwhile."""

    async def done() -> Any:
        async with stack.kept_running(home, stack.storage) as note:
            return await work(at_home(home, note))

    return asyncio.run(done())


def started(*words: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "myspinbot.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("MYSPINBOT_")},
    )


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def blobs(shelf: Path) -> dict[str, int]:
    """The objects on a shelf, each with the number of its file on the disk."""
    return {path.name: path.stat().st_ino for path in (shelf / "objects").glob("??/*")}


def damaged_parts(backup: Path) -> Iterator[Path]:
    """One file of each sort in a backup."""
    yield backup / "streams" / "JOBS.snapshot"
    yield backup / "views" / "views.db"
    yield backup / "objects.jsonl"
    yield backup / "keys.tar"
    yield max((backup.parent / "objects").glob("??/*"), key=lambda path: path.stat().st_size)
