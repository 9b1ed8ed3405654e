"""A runner that is told to stop: real processes, a real SIGTERM, nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.graph import Binding, Graph, Stage
from contracts.job import JobStatus
from contracts.progress import StageProgress
from eventlog.board import Board
from eventlog.broker import connect
from eventlog.log import EventLog
from eventlog.topology import ensure
from mini_support import write_face, write_random_base
from planner.main import plan
from servicekit.objects import StoreAddress, open_store
from servicekit.service import Service
from servicekit.settings import Environment

from conftest import World, environment_of
from contracts import events as e
from contracts import subjects
from tests.support.broker import NatsServer

pytestmark = pytest.mark.long

STEPS = 60


@dataclass
class Runner:
    """A runner's process."""

    name: str
    process: asyncio.subprocess.Process

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def status(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@dataclass
class Site:
    """A planner, and as many runners as a test starts."""

    world: World
    settings: dict[str, str]
    runners: list[Runner]

    async def start(self, name: str, **settings: str) -> Runner:
        own = {"MYSPINBOT_RUNNER_ID": name, **settings}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gpu_runner.main", env={**os.environ, **self.settings, **own}
        )
        runner = Runner(name, process)
        self.runners.append(runner)
        return runner

    async def events(self, job: str) -> list[e.Event]:
        return [recorded.event async for recorded in self.world.log.read_job(job)]

    async def progress(self, job: str, enough: Callable[[StageProgress], bool]) -> None:
        """Return when a stage of the job is so far."""
        board = Board(self.world.broker, subjects.PROGRESS, subjects.ALL_PROGRESS)
        async with asyncio.timeout(90):
            while True:
                async for note in board.all(subjects.job_progress(job)):
                    if enough(StageProgress.model_validate_json(note.data)):
                        return
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(
    broker_server: NatsServer, store_address: StoreAddress, tmp_path: Path
) -> AsyncIterator[Site]:
    admin = await connect(broker_server.address("admin"))
    await ensure(admin)
    planning = environment_of(broker_server, store_address, "planner")
    planning["MYSPINBOT_RUNNER_GRACE_S"] = "60"
    task = asyncio.create_task(plan(Service("planner", Environment(planning))))
    settings = environment_of(broker_server, store_address, "runner")
    settings["MYSPINBOT_SCRATCH"] = str(tmp_path / "scratch")
    async with open_store(store_address) as store:
        await store.ensure_bucket()
        world = World(broker_server, admin, EventLog(admin, "test"), store, (task,))
        site = Site(world, settings, [])
        yield site
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for runner in site.runners:
        with contextlib.suppress(ProcessLookupError):
            runner.process.kill()
        await runner.process.wait()
    await admin.close()


async def test_a_training_goes_on_elsewhere_from_where_its_runner_was_told_to_stop(
    site: Site, tmp_path: Path
) -> None:
    base = {
        "MYSPINBOT_ENGINES": "tests.support.tiny:ENGINES",
        "TINY_BASE": str(write_random_base(tmp_path / "base")),
    }
    first = await site.start("first", **base)
    world = site.world
    face = await world.store.put("faces/0.png", write_face(tmp_path).read_bytes(), "image/png")
    # No checkpoint comes in turn: what the second runner has is what the first was asked for.
    params = {"steps": STEPS, "batch_size": 1, "rank": 2, "sample_every": 0}
    training = Stage(
        id="train",
        kind="train_lora",
        engine="tiny",
        inputs={"faces": Binding(output="faces")},
        params={**params, "checkpoint_every": 5000},
    )
    request = e.JobRequested(
        type=e.JobType.PIPELINE,
        owner="me",
        inputs={"faces": (face,)},
        graph=Graph(stages=(training,)),
        seed=5,
    )
    await world.log.append([world.log.record("drained", request)], expected=0)
    await site.progress("drained", lambda progress: progress.done >= 1)
    first.ask_to_stop()
    assert await first.status() == 0
    told = await site.events("drained")
    assert isinstance(told[-1], e.StageCheckpointed)
    assert 1 <= told[-1].step < STEPS

    await site.start("second", **base)
    state = await world.until("drained", "never", timeout_s=200)

    assert state.status is JobStatus.COMPLETED
    events = await site.events("drained")
    started = [event for event in events if isinstance(event, e.StageStarted)]
    assert [(event.runner, event.attempt) for event in started] == [("first", 1), ("second", 1)]
    assert started[1].resumed_from_step == told[-1].step
    assert state.stages["train"].metrics["resumed_at"] == told[-1].step
    assert state.stages["train"].metrics["steps"] == STEPS
    assert not any(isinstance(event, e.StageFailed) for event in events)


async def test_what_ends_within_the_grace_is_finished_and_nothing_new_is_taken(site: Site) -> None:
    first = await site.start("first", MYSPINBOT_DRAIN_S="30")
    world = site.world
    job = await world.ask(Stage(id="one", kind="count", params={"steps": 40, "pause_s": 0.05}))
    await site.progress(job, lambda progress: progress.done >= 1)
    first.ask_to_stop()
    waiting = await world.ask(Stage(id="two", kind="count"))
    assert await first.status() == 0
    assert (await world.log.fold(job)).status is JobStatus.COMPLETED
    names = [event.type_name() for event in await site.events(waiting)]
    assert "StageStarted" not in names
    await site.start("second")
    assert (await world.end_of(waiting)).status is JobStatus.COMPLETED


async def test_being_told_twice_cuts_the_grace_short(site: Site) -> None:
    first = await site.start("first", MYSPINBOT_DRAIN_S="3600")
    job = await site.world.ask(Stage(id="one", kind="count", params={"does": "hang"}))
    await site.progress(job, lambda progress: progress.done >= 1)
    first.ask_to_stop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await first.process.wait()
    first.ask_to_stop()
    assert await first.status() == 0
    assert (await site.world.log.fold(job)).stages["one"].status.outstanding
    await site.world.log.tell(job, e.JobCancelRequested(by="me"))
