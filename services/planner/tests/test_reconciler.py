"""The planner's shell on a real broker: what it knows of other jobs comes from the log alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.graph import Graph, Stage
from contracts.job import JobState, JobStatus, StageStatus
from eventlog.board import Board
from eventlog.broker import Broker, connect
from eventlog.log import EventLog, utc_now
from eventlog.queue import CommandQueue
from eventlog.reader import read_log
from eventlog.topology import ensure
from given import a_fleet, artifacts, pipeline, train
from planner.reconciler import Reconciler

from contracts import events as e
from contracts import subjects
from tests.support.broker import NatsServer, nats_server

PREPARE = "prepare_dataset"
ONE_STAGE = Graph(stages=(Stage(id=PREPARE, kind=PREPARE),))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "nats") as started:
        yield started


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("admin"))
    await ensure(broker)
    yield broker
    await broker.close()


@dataclass
class Planning:
    """A planner's life on the log. It tells nothing but what the planner may."""

    log: EventLog
    broker: Broker

    async def start(self) -> None:
        reconciler = Reconciler(
            EventLog(self.broker, "planner"),
            CommandQueue(self.broker),
            Board(self.broker, subjects.CONTROL, subjects.ALL_STOPS),
            utc_now,
        )
        await reconciler.fleet_changed(a_fleet())
        end = (await self.log.position()).last_sequence
        live = end == 0
        if live:
            await reconciler.go_live()
        async for batch in read_log(self.broker, after=0):
            await reconciler.read(batch)
            if not live and batch[-1].sequence >= end:
                live = True
                await reconciler.go_live()

    async def until(self, job: str, condition: Callable[[JobState], bool]) -> JobState:
        async with asyncio.timeout(20):
            while True:
                state = await self.log.fold(job)
                if condition(state):
                    return state

    async def scheduled(self, job: str) -> JobState:
        return await self.until(
            job, lambda state: any(stage.status.outstanding for stage in state.stages.values())
        )

    async def ended(self, job: str) -> JobState:
        return await self.until(job, lambda state: state.status.ended)

    async def completes(self, job: str, stage: str, *outputs: str) -> None:
        state = await self.scheduled(job)
        event = e.StageCompleted(
            stage=stage,
            attempt=state.stages[stage].attempt,
            runner="r1",
            outputs=artifacts(*outputs),
            metrics={"n": 1},
            duration_s=1,
        )
        await self.log.tell(job, event)


class Planners:
    """Planners one after the other, as after a restart."""

    def __init__(self, planning: Planning) -> None:
        self._planning = planning
        self._task = asyncio.create_task(planning.start())

    async def restart(self) -> None:
        await self.stop()
        self._task = asyncio.create_task(self._planning.start())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def planning(server: NatsServer, admin: Broker) -> AsyncIterator[tuple[Planning, Planners]]:
    broker = await connect(server.address("planner"))
    world = Planning(EventLog(admin, "test"), broker)
    planners = Planners(world)
    yield world, planners
    await planners.stop()
    await broker.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_outputs_of_a_deleted_job_are_not_reused_once_nobody_else_holds_them(
    planning: tuple[Planning, Planners], restart: bool
) -> None:
    world, planners = planning
    request = pipeline(ONE_STAGE)
    await world.log.tell("first", request)
    await world.completes("first", PREPARE, "faces")
    await world.ended("first")
    await world.log.tell("second", request)
    assert (await world.ended("second")).stages[PREPARE].reused_from == "first"
    await world.log.tell("first", e.JobDeleted(by="me"))
    if restart:
        await planners.restart()
    await world.log.tell("third", request)
    assert (await world.ended("third")).stages[PREPARE].reused_from == "second"
    await world.log.tell("second", e.JobDeleted(by="me"))
    await world.log.tell("third", e.JobDeleted(by="me"))
    if restart:
        await planners.restart()
    await world.log.tell("fourth", request)
    state = await world.scheduled("fourth")
    assert state.stages[PREPARE].status is StageStatus.SCHEDULED


async def test_a_job_that_is_deleted_before_its_end_goes_on_and_its_outputs_stay_reusable(
    planning: tuple[Planning, Planners],
) -> None:
    world, _ = planning
    request = pipeline(ONE_STAGE)
    await world.log.tell("first", request)
    await world.scheduled("first")
    await world.log.tell("first", e.JobDeleted(by="me"))
    await world.completes("first", PREPARE, "faces")
    assert not (await world.ended("first")).deleted
    await world.log.tell("second", request)
    assert (await world.ended("second")).stages[PREPARE].reused_from == "first"


@pytest.mark.parametrize("restart", [False, True])
async def test_a_fork_takes_over_from_a_parent_that_ended_long_ago(
    planning: tuple[Planning, Planners], restart: bool
) -> None:
    world, planners = planning
    photos = artifacts("photos")
    await world.log.tell("parent", train(inputs=photos))
    await world.completes("parent", PREPARE, "faces")
    await world.until("parent", lambda state: state.stages["train_lora"].status.outstanding)
    await world.completes("parent", "train_lora", "lora")
    await world.ended("parent")
    if restart:
        await planners.restart()
    fork = e.Fork(job="parent", stage="train_lora")
    params = {"train_lora": {"steps": 7}}
    await world.log.tell("fork", train(inputs=photos, seed=5, params=params, forked_from=fork))
    state = await world.scheduled("fork")
    assert state.stages[PREPARE].reused_from == "parent"
    lora = state.stages["train_lora"]
    assert lora.status is StageStatus.SCHEDULED
    assert lora.command is not None
    assert lora.command.params["steps"] == 7
    assert lora.command.inputs == {"faces": artifacts("faces")["faces"]}


async def test_a_fork_of_a_deleted_job_fails_with_what_to_do(
    planning: tuple[Planning, Planners],
) -> None:
    world, _ = planning
    await world.log.tell("parent", pipeline(ONE_STAGE))
    await world.completes("parent", PREPARE, "faces")
    await world.ended("parent")
    await world.log.tell("parent", e.JobDeleted(by="me"))
    fork = e.Fork(job="parent", stage=PREPARE)
    await world.log.tell("fork", pipeline(ONE_STAGE, forked_from=fork))
    state = await world.ended("fork")
    assert state.status is JobStatus.FAILED
    assert state.failure is not None
    assert state.failure.code == "fork-parent-unknown"
