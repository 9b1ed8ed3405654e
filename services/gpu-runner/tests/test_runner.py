"""The runner at work: commands from the queue, children that behave and that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from contracts.artifacts import Artifact
from contracts.commands import Lane, StageCommand
from contracts.envelope import Recorded
from contracts.graph import Binding, RetryPolicy, Stage
from contracts.job import JobStatus, StageStatus
from contracts.stagelog import Level, StageLine
from eventlog.broker import connect
from eventlog.errors import UnavailableError
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.queue import CommandQueue
from eventlog.stagelogs import StageLogs
from gpu_runner.attempt import Attempt
from gpu_runner.bench import Bench
from gpu_runner.worker import InHand, LaneWorker

from conftest import World
from contracts import events as e
from contracts import subjects
from tests.support.engines import ENGINES

QUICK = RetryPolicy(attempts=2, first_delay_s=0.05)


def counting(stage_id: str = "count", **params: object) -> Stage:
    return Stage(id=stage_id, kind="count", params=params, retry=QUICK)


def counted(job: str, seed: int) -> StageCommand:
    """The command of the first attempt at a stage that counts."""
    return StageCommand(
        job=job,
        stage="count",
        attempt=1,
        kind="count",
        engine="counter",
        lane=Lane.CPU,
        params={},
        inputs={},
        seed=seed,
    )


async def test_a_stage_is_done_and_its_output_stored(world: World) -> None:
    state = await world.end_of(await world.ask(counting(steps=4)))
    assert state.status is JobStatus.COMPLETED
    [artifact] = state.results()["count"]
    assert await world.store.get(artifact) == b"0..4"
    assert state.stages["count"].metrics["first"] == 0


async def test_the_output_of_one_stage_is_the_input_of_the_next(world: World) -> None:
    second = Stage(id="second", kind="count", inputs={"x": Binding(stage="count", output="count")})
    state = await world.end_of(await world.ask(counting(), second))
    assert state.stages["second"].metrics["inputs"] == 1


async def test_a_refusal_reaches_the_user_with_cause_and_remedy(world: World) -> None:
    state = await world.end_of(await world.ask(counting(does="refuse")))
    assert state.status is JobStatus.FAILED
    assert state.failure is not None
    assert state.failure.cause == "photo 2 shows no face"
    assert state.failure.remedy == "Use another photo"
    assert state.stages["count"].attempt == 1


async def test_wrong_parameters_are_a_refusal_that_names_them(world: World) -> None:
    state = await world.end_of(await world.ask(counting(steps="many")))
    assert state.failure is not None
    assert state.failure.code == "invalid-params"
    assert "steps" in state.failure.cause


async def lines_of(world: World, job: str) -> list[StageLine]:
    """The lines of a job once the last one, which the runner says itself, has come."""
    logs = StageLogs(world.broker)
    async with asyncio.timeout(10):
        while True:
            lines = [stored.line async for stored in logs.read(job)]
            if lines and (lines[-1].level is Level.ERROR or "done after" in lines[-1].message):
                return lines
            await asyncio.sleep(0.02)


async def test_what_a_stage_says_can_be_read_and_drawn(world: World) -> None:
    job = await world.ask(counting(does="talk"))
    await world.end_of(job)
    lines = await lines_of(world, job)
    curve = [(line.step, line.values["loss"]) for line in lines if "loss" in line.values]
    assert curve[0] == (1, 1.0)
    assert curve == sorted(curve)
    assert 20 <= len(curve) < 100
    assert not any("no_number" in line.values for line in lines)
    said = [line.message for line in lines if line.message]
    assert "half of it is done" in said
    assert said[-2] == "all was said"
    assert said[-1].startswith("done after")
    assert {(line.stage, line.attempt) for line in lines} == {("count", 1)}


@pytest.mark.parametrize("does", ["crash", "abort"])
async def test_a_stage_that_breaks_says_where_and_not_with_which_words(
    world: World, does: str
) -> None:
    job = await world.ask(counting(does=does))
    await world.end_of(job)
    lines = await lines_of(world, job)
    errors = [line.message for line in lines if line.level is Level.ERROR]
    assert any("in run, engines.py line" in message for message in errors)
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("does", "code"),
    [("crash", "stage-crashed"), ("abort", "stage-crashed"), ("die", "stage-killed")],
)
async def test_a_child_that_breaks_is_tried_again_and_then_given_up(
    world: World, does: str, code: str
) -> None:
    state = await world.end_of(await world.ask(counting(does=does)))
    assert state.failure is not None
    assert state.failure.code == code
    assert state.stages["count"].attempt == 2
    assert "secret" not in state.to_json().decode()


async def test_a_stage_whose_child_dies_goes_on_from_its_checkpoint(world: World) -> None:
    state = await world.end_of(await world.ask(counting(does="die_after_checkpoint")))
    assert state.status is JobStatus.COMPLETED
    assert state.stages["count"].attempt == 2
    assert state.stages["count"].metrics["first"] == 2


class LosingLog(EventLog):
    """Loses the broker at the first append, as when the leader goes."""

    appended = 0

    async def _publish(self, recorded: Sequence[Recorded], end: object) -> int:
        self.appended += 1
        if self.appended == 1:
            raise UnavailableError("the leader is gone")
        return await super()._publish(recorded, end)


async def test_checkpoints_are_told_in_the_order_in_which_they_were_kept(
    world: World, tmp_path: Path
) -> None:
    job = await world.ask(counting(does="hang"))
    await world.until(job, "StageStarted")
    log = LosingLog(world.broker, "gpu-runner")
    board = KeyValue(world.broker, subjects.PROGRESS)
    bench = Bench(log, board, StageLogs(world.broker), world.store, "r", tmp_path)
    attempt = Attempt(bench, counted(job, 1), ENGINES[0], "cpu", 1, lambda: 1)
    kept = Artifact(key="kept", size=1, sha256="0" * 64, media_type="application/x-tar")
    await asyncio.gather(
        *(
            attempt._tell(
                e.StageCheckpointed(
                    stage="count", attempt=1, step=step, fraction=step / 10, artifact=kept
                )
            )
            for step in (1, 2, 3)
        )
    )
    told = [recorded.event async for recorded in world.log.read_job(job)]
    steps = [event.step for event in told if isinstance(event, e.StageCheckpointed)]
    assert steps == [1, 2, 3]
    assert log.appended > len(steps)
    await world.log.tell(job, e.JobCancelRequested(by="me"))
    await world.end_of(job)


async def test_kinds_of_stages_take_turns_so_that_none_waits_for_ever(
    world: World, tmp_path: Path
) -> None:
    queue, board = (
        CommandQueue(world.broker),
        KeyValue(world.broker, subjects.PROGRESS),
    )
    for number in range(3):
        for kind in ("first_kind", "second_kind")[: 2 if number else 1]:
            command = counted(f"turns-{number}", number).model_copy(update={"kind": kind})
            assert await queue.publish(command, None)

    async def unchanged() -> None:
        return

    bench = Bench(world.log, board, StageLogs(world.broker), world.store, "r", tmp_path)
    worker = LaneWorker(queue, bench, Lane.CPU, "cpu", {}, InHand(), unchanged)
    consumers = {kind: await queue.open(kind, Lane.CPU) for kind in ("first_kind", "second_kind")}
    taken = []
    for _ in range(5):
        delivery = await worker._next(consumers)
        assert delivery is not None
        taken.append(delivery.subject.kind)
        await delivery.done()
    assert taken == ["first_kind", "second_kind"] * 2 + ["first_kind"]


async def test_a_cancelled_job_stops_its_child(world: World) -> None:
    job = await world.ask(counting(does="hang"))
    await world.until(job, "StageStarted")
    await world.log.tell(job, e.JobCancelRequested(by="me"))
    state = await world.end_of(job)
    assert state.status is JobStatus.CANCELLED
    # The lane is free again: another job is done.
    after = await world.end_of(await world.ask(counting()))
    assert after.status is JobStatus.COMPLETED


async def test_a_command_that_is_not_wanted_any_more_is_not_run(world: World) -> None:
    job = await world.ask(counting())
    state = await world.end_of(job)
    events = state.sequence
    planner = await connect(world.server.address("planner"))
    scheduled = state.stages["count"].command
    assert scheduled is not None
    await CommandQueue(planner).publish(counted(job, scheduled.seed), None)
    await world.end_of(await world.ask(counting()))
    assert (await world.log.fold(job)).sequence == events
    await planner.close()


async def test_a_job_that_no_runner_can_do_fails_with_a_reason(world: World) -> None:
    state = await world.end_of(await world.ask(Stage(id="x", kind="unheard_of")))
    assert state.failure is not None
    assert state.failure.code == "no-runner"
    assert state.stages["x"].status is StageStatus.PENDING


async def test_the_same_stage_of_the_same_owner_is_reused(world: World) -> None:
    request = e.JobRequested(
        type=e.JobType.PIPELINE,
        owner="me",
        graph=e.Graph(stages=(counting(steps=5),)),
        seed=77,
    )
    states = []
    for job in ("reuse-1", "reuse-2"):
        await world.log.append([world.log.record(job, request)], expected=0)
        states.append(await world.end_of(job))
    assert states[1].stages["count"].reused_from == "reuse-1"
    assert states[1].results() == states[0].results()
