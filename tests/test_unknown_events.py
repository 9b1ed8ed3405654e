"""A log that a newer program has written into: who cannot read it says so, and decides nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.commands import Lane, StageCommand
from contracts.graph import Graph, Stage
from eventlog.board import Board
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.queue import MAX_DELIVERIES, CommandQueue, Delivery
from eventlog.stagelogs import StageLogs
from eventlog.topology import ensure
from gpu_runner.bench import Bench
from gpu_runner.worker import InHand, LaneWorker
from planner.main import plan
from servicekit.objects import StoreAddress, open_store
from servicekit.service import Service
from servicekit.settings import Environment
from structlog.testing import capture_logs

from contracts import events as e
from contracts import subjects
from tests.support import engines
from tests.support.broker import NatsServer, nats_server

REQUEST = e.JobRequested(
    type=e.JobType.PIPELINE,
    owner="me",
    graph=Graph(stages=(Stage(id="count", kind="count"),)),
)


@dataclass
class World:
    server: NatsServer
    broker: Broker
    log: EventLog
    folder: Path

    async def newer(self, job: str, version: int = 2, name: str = "JobCancelRequested") -> int:
        """An event as a newer program would write it; its sequence."""
        body = {"version": version, "by": "me", "why": "no need"}
        headers = {
            "ce-specversion": "1.0",
            "ce-id": f"{job}-newer",
            "ce-source": "/myspinbot/gateway",
            "ce-type": f"myspinbot.{name}",
            "ce-subject": job,
            "ce-time": "2026-11-22T12:00:00+00:00",
        }
        subject = subjects.event(job, name)
        return int((await self.broker.publish(subject, json.dumps(body).encode(), headers))["seq"])

    @asynccontextmanager
    async def planner(self) -> AsyncIterator[Service]:
        settings = {
            "MYSPINBOT_NATS_URL": self.server.address("planner").url,
            "MYSPINBOT_NATS_SEED": str(self.server.seeds["planner"]),
            "MYSPINBOT_SNAPSHOTS": str(self.folder / "snapshots"),
        }
        service = Service("planner", Environment(settings))
        task = asyncio.create_task(plan(service))
        try:
            yield service
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def types(self, job: str) -> list[str]:
        return [stored.type async for stored in self.log.read_stored(job)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        yield World(server, broker, EventLog(broker, "gateway"), tmp_path)
        await broker.close()


async def halted(service: Service) -> str:
    """What the planner says that an operator has to do."""
    async with asyncio.timeout(30):
        while True:
            for what in service.readiness.waiting_for:
                if what.startswith("operator: "):
                    return what
            await asyncio.sleep(0.01)


async def planned(world: World, job: str) -> None:
    async with asyncio.timeout(30):
        while "JobPlanned" not in await world.types(job):
            pass


async def test_the_planner_says_which_version_it_needs_and_decides_nothing_more(
    world: World,
) -> None:
    async with world.planner() as service:
        await world.log.tell("before", REQUEST)
        await planned(world, "before")
        sequence = await world.newer("before")
        told = await halted(service)
        assert f"as event {sequence} cannot be understood" in told
        assert "JobCancelRequested of version 2" in told
        assert "up to version 1; a newer one is needed" in told
        await world.log.tell("after", REQUEST)
        assert not service.readiness.ready
    async with world.planner() as service:
        # A restart changes nothing about it, with a snapshot from before the event as well.
        assert await halted(service) == told
        assert await world.types("after") == ["JobRequested"]


async def test_the_planner_stops_at_an_event_type_that_it_does_not_know(world: World) -> None:
    await world.log.tell("job", REQUEST)
    sequence = await world.newer("job", version=1, name="JobTeleported")
    async with world.planner() as service:
        told = await halted(service)
        assert f"event {sequence}" in told
        assert "JobTeleported" in told
        assert await world.types("job") == ["JobRequested", "JobTeleported"]


@pytest.fixture
async def worker(world: World) -> AsyncIterator[LaneWorker]:
    nowhere = StoreAddress("http://127.0.0.1:1", "none", "key", "secret")
    async with open_store(nowhere) as store:
        bench = Bench(
            log=EventLog(world.broker, "gpu-runner"),
            progress=Board(world.broker, subjects.PROGRESS, subjects.ALL_PROGRESS),
            lines=StageLogs(world.broker),
            store=store,
            runner="r1",
            scratch=world.folder,
        )
        known = {(engine.kind, engine.name): engine for engine in engines.ENGINES}

        async def unchanged() -> None:
            return

        yield LaneWorker(
            CommandQueue(world.broker), bench, Lane.CPU, "cpu", known, InHand(), unchanged
        )


async def delivered(world: World, times: int) -> Delivery:
    """A command about a job that a newer program has written into, delivered so often."""
    await world.log.tell("job", REQUEST)
    await world.newer("job")
    queue = CommandQueue(world.broker)
    consumer = await queue.open("count", Lane.CPU)
    command = StageCommand(
        job="job",
        stage="count",
        attempt=1,
        kind="count",
        engine="counter",
        lane=Lane.CPU,
        params={},
        inputs={},
        seed=1,
    )
    await queue.publish(command, None)
    while True:
        delivery = await queue.pull(consumer, wait_s=5)
        assert delivery is not None
        if delivery.number == times:
            return delivery
        await delivery.later(0.0)


async def test_a_runner_leaves_a_job_that_it_cannot_read_to_newer_ones(
    world: World, worker: LaneWorker
) -> None:
    delivery = await delivered(world, times=1)
    with capture_logs() as told:
        await worker._take(delivery)
    [line] = [line for line in told if line["event"] == "worker.history_unread"]
    assert "JobCancelRequested of version 2" in line["detail"]
    assert await world.types("job") == ["JobRequested", "JobCancelRequested"]


async def test_a_runner_fails_in_the_end_what_none_could_read(
    world: World, worker: LaneWorker
) -> None:
    await worker._take(await delivered(world, times=MAX_DELIVERIES))
    *_, last = [stored async for stored in world.log.read_stored("job")]
    failed = last.recorded().event
    assert isinstance(failed, e.StageFailed)
    assert failed.code == "unknown-event"
    assert "a newer one is needed" in failed.cause
    assert "same version" in failed.remedy
