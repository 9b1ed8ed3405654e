"""How the work of all jobs stands, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.capabilities import Device, EngineManifest, RunnerManifest
from contracts.commands import Lane
from contracts.events import JobRequested, JobType, Quality
from contracts.graph import Binding, Graph, Stage
from contracts.job import JobState, JobStatus, StageState, StageStatus
from planner.domain.fleet import Fleet
from planner.domain.standing import NO_RUNNER, standing
from planner.metrics import StandingCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GRAPH = Graph(
    stages=(
        Stage(id="draw", kind="draw"),
        Stage(id="speak", kind="speak", inputs={"x": Binding(stage="draw", output="x")}),
    )
)


def runner(name: str, kind: str, *, available: bool = True) -> RunnerManifest:
    engine = EngineManifest(
        kind=kind,
        engine="any",
        version="1",
        title="Any",
        lane=Lane.CPU,
        qualities=(Quality.DRAFT,),
        params_schema={},
        available=available,
    )
    device = Device(name="cpu", title="CPU", memory_bytes=1)
    return RunnerManifest(runner=name, devices=(device,), engines=(engine,), announced_at=NOW)


def job(draw: StageState, graph: Graph = GRAPH) -> JobState:
    others = {stage.id: StageState(id=stage.id, kind=stage.kind) for stage in graph.stages}
    return JobState(
        job="k1",
        status=JobStatus.RUNNING,
        request=JobRequested(type=JobType.PIPELINE, owner="o", inputs={}),
        graph=graph,
        stages={**others, draw.id: draw},
        updated_at=NOW - timedelta(seconds=40),
    )


def stage(status: StageStatus, runner_id: str | None = None, kind: str = "draw") -> StageState:
    at = NOW - timedelta(seconds=90)
    return StageState(id="draw", kind=kind, status=status, scheduled_at=at, runner=runner_id)


def test_a_queued_stage_counts_with_its_age_and_one_that_cannot_begin_does_not() -> None:
    counts = standing(
        [job(stage(StageStatus.SCHEDULED))], Fleet((runner("a", "draw"),), NOW), ["speak"], NOW
    )
    assert counts.jobs == {("pipeline", "running"): 1}
    assert counts.stages == {("draw", "scheduled"): 1}
    assert counts.ages_s == {"draw": 90.0, "speak": 0.0, "other": 0.0}
    assert counts.runners == {"draw": 1}


def test_a_stage_that_could_begin_waits_for_a_runner() -> None:
    counts = standing([job(stage(StageStatus.PENDING))], Fleet((), NOW), ["draw", "speak"], NOW)
    assert counts.stages == {("draw", NO_RUNNER): 1}
    assert counts.ages_s["draw"] == 40.0


def test_once_a_stage_ended_the_next_one_waits() -> None:
    done = job(stage(StageStatus.COMPLETED))
    counts = standing([done], Fleet((), NOW), ["draw", "speak"], NOW)
    assert counts.stages == {("speak", NO_RUNNER): 1}


def test_a_stage_is_abandoned_when_its_runner_announces_itself_no_more() -> None:
    fleet = Fleet((runner("a", "draw"),), NOW)
    there = standing([job(stage(StageStatus.RUNNING, "a"))], fleet, [], NOW)
    gone = standing([job(stage(StageStatus.RUNNING, "b"))], fleet, [], NOW)
    assert (there.abandoned["draw"], gone.abandoned["draw"]) == (0, 1)


def test_a_runner_without_weights_cannot_do_it() -> None:
    fleet = Fleet((runner("a", "draw", available=False),), NOW)
    assert standing([], fleet, [], NOW).runners["draw"] == 0


def test_kinds_that_somebody_invented_are_counted_together() -> None:
    graph = Graph(stages=(Stage(id="draw", kind="mine_1"), Stage(id="b", kind="mine_2")))
    invented = job(stage(StageStatus.PENDING, kind="mine_1"), graph)
    counts = standing([invented], Fleet((), NOW), ["draw"], NOW)
    assert counts.stages == {("other", NO_RUNNER): 2}
    assert set(counts.ages_s) == {"draw", "other"}


def test_what_stands_is_told_with_zeros_for_what_there_is_none_of() -> None:
    counts = standing([job(stage(StageStatus.SCHEDULED))], Fleet((), NOW), ["draw"], NOW)
    registry = CollectorRegistry()
    registry.register(StandingCollector(lambda: counts))
    text = generate_latest(registry).decode()
    assert 'myspinbot_planner_stages{kind="draw",state="scheduled"} 1.0' in text
    assert 'myspinbot_planner_stages{kind="draw",state="no_runner"} 0.0' in text
    assert 'myspinbot_planner_queue_age_seconds{kind="draw"} 90.0' in text
    assert 'myspinbot_planner_runners{kind="draw"} 0.0' in text
    assert 'myspinbot_planner_jobs{status="running",type="pipeline"} 1.0' in text
