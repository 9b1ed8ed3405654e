"""What waits: places in the queue, and how long jobs take on a machine that stages share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from contracts.capabilities import Device, EngineManifest, PlannerManifest, RunnerManifest
from contracts.commands import Lane
from contracts.events import JobType, Quality
from contracts.fold import evolve, initial
from contracts.graph import Binding, Graph, Stage
from contracts.queries import StageTimes
from eventlog.broker import Broker
from eventlog.registry import announce
from gateway.installation.estimates import estimate, given_inputs, offered, without
from gateway.installation.eta import Machine, StageTime, remaining_s, settled_s
from gateway.installation.outlook import Basis, Outlook, machine
from gateway.installation.queue import Attempts, Waiting, follow, waits
from gateway_socket import watching
from gateway_stack import Stack
from gateway_story import Story
from planner.domain.graphs import offers

from contracts import events as e
from tests.support.histories import history_files, load

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CPU_ONLY = Machine({Lane.GPU: 1, Lane.CPU: 1}, 1)


def waiting(
    job: str, kind: str, minute: int, *, lane: Lane = Lane.GPU, running: bool = False
) -> Waiting:
    since = NOW + timedelta(minutes=minute)
    return Waiting(job, kind, 1, kind, lane, since, running=running)


def test_positions_count_those_of_the_same_kind_and_lane_in_the_order_of_scheduling() -> None:
    queue = [
        waiting("c", "train_lora", 3),
        waiting("a", "train_lora", 1),
        waiting("b", "train_voice", 2, lane=Lane.CPU),
        waiting("d", "train_lora", 0, running=True),
    ]
    found = waits(queue, lambda _: 0.0, {}, NOW)
    assert {job: wait.position for job, by in found.items() for wait in by.values()} == {
        "a": 1,
        "b": 1,
        "c": 2,
    }


def test_a_stage_waits_for_what_runs_and_for_what_was_there_before_it() -> None:
    queue = [
        waiting("running", "train_lora", -1, running=True),
        waiting("first", "train_lora", 1),
        waiting("second", "generate_portrait", 2),
        waiting("elsewhere", "synthesize_speech", 3, lane=Lane.CPU),
    ]
    seconds = {"train_lora": 100.0, "generate_portrait": 10.0, "synthesize_speech": 5.0}
    found = waits(queue, seconds.__getitem__, {Lane.GPU: 1, Lane.CPU: 1}, NOW)
    assert found["first"]["train_lora"].delay_s == 100 - 60
    assert found["second"]["generate_portrait"].delay_s == 40 + 100
    assert found["elsewhere"]["synthesize_speech"].delay_s == 0


def test_two_runners_take_from_one_queue() -> None:
    queue = [waiting(f"j{number}", "train_lora", number) for number in range(4)]
    found = waits(queue, lambda _: 60.0, {Lane.GPU: 2}, NOW)
    assert [found[f"j{number}"]["train_lora"].delay_s for number in range(4)] == [0, 0, 60, 60]


@pytest.mark.parametrize("path", history_files(), ids=lambda path: path.stem)
def test_the_queue_holds_what_the_fold_calls_outstanding_after_every_event(path: Path) -> None:
    attempts: Attempts = {}
    states = {}
    for recorded in load(path):
        state = evolve(states.get(recorded.job, initial(recorded.job)), recorded)
        states[recorded.job] = state
        follow(attempts, recorded)
        outstanding = {
            (job, stage.id, stage.attempt, stage.status == "running")
            for job, one in states.items()
            if not one.status.ended
            for stage in one.stages.values()
            if stage.status.outstanding
        }
        held = {(one.job, one.stage, one.attempt, one.running) for one in attempts.values()}
        assert held == outstanding


def test_a_late_word_of_an_earlier_attempt_changes_nothing() -> None:
    attempts: Attempts = {("a", "train_lora"): waiting("a", "train_lora", 0)}
    held = dict(attempts)
    [recorded] = [one for one in load(history_files()[0]) if isinstance(one.event, e.StageStarted)][
        :1
    ]
    assert not follow(attempts, recorded)
    assert attempts == held


GRAPH = Graph(
    stages=(
        Stage(id="train_lora", kind="train_lora", weight=8),
        Stage(id="train_voice", kind="train_voice", weight=4),
        Stage(
            id="render_video",
            kind="render_video",
            inputs={
                "lora": Binding(stage="train_lora", output="lora"),
                "voice": Binding(stage="train_voice", output="voice"),
            },
        ),
    )
)


def test_stages_side_by_side_take_as_long_as_one_after_the_other_on_one_processor() -> None:
    times = {
        "train_lora": StageTime(expected_s=80, lane=Lane.GPU),
        "train_voice": StageTime(expected_s=40, lane=Lane.CPU),
        "render_video": StageTime(expected_s=10, lane=Lane.CPU),
    }
    assert remaining_s(GRAPH, times, CPU_ONLY) == pytest.approx(130)
    assert remaining_s(GRAPH, times, Machine(processors=2)) == pytest.approx(90)


def test_what_a_running_stage_says_holds_for_the_pace_at_which_it_runs_now() -> None:
    times = {
        "train_lora": StageTime(taken_s=20, left_s=60, running=True, lane=Lane.GPU),
        "train_voice": StageTime(taken_s=20, left_s=20, running=True, lane=Lane.CPU),
        "render_video": StageTime(expected_s=10, lane=Lane.CPU),
    }
    # Both at half pace for 20 s; then the 40 s that the first has left go twice as fast.
    assert remaining_s(GRAPH, times, CPU_ONLY) == pytest.approx(20 + 20 + 10)


def test_stages_of_one_lane_wait_for_each_other() -> None:
    times = {
        "train_lora": StageTime(expected_s=80, lane=Lane.GPU),
        "train_voice": StageTime(expected_s=40, lane=Lane.GPU),
        "render_video": StageTime(expected_s=10, lane=Lane.GPU),
    }
    one_gpu = Machine({Lane.GPU: 1, Lane.CPU: 1}, 2)
    assert remaining_s(GRAPH, times, one_gpu) == pytest.approx(130)
    assert remaining_s(GRAPH, times, Machine({Lane.GPU: 2, Lane.CPU: 2}, 4)) == pytest.approx(90)


def test_what_stands_before_a_stage_in_the_queue_counts() -> None:
    times = {
        "train_lora": StageTime(expected_s=80, delay_s=300, lane=Lane.GPU),
        "train_voice": StageTime(expected_s=40, lane=Lane.CPU),
        "render_video": StageTime(expected_s=10, lane=Lane.CPU),
    }
    assert remaining_s(GRAPH, times, CPU_ONLY) == pytest.approx(300 + 80 + 10)


def test_the_first_steps_of_a_stage_tell_little_of_its_time_and_the_first_fifth_enough() -> None:
    assert settled_s(900, 0.0, 40) == 40
    assert settled_s(900, 0.02, 40) == pytest.approx(0.1 * 900 + 0.9 * 0.98 * 40)
    assert settled_s(900, 0.2, 40) == settled_s(900, 0.9, 40) == 900
    assert settled_s(900, 0.02, None) == 900


def test_a_stage_nobody_knows_is_judged_by_its_weight_among_those_that_are_known() -> None:
    times = {"train_lora": StageTime(expected_s=80), "train_voice": StageTime(expected_s=40)}
    assert remaining_s(GRAPH, times, Machine()) == pytest.approx(80 + 10)


def engine(kind: str, name: str = "mini", **more: object) -> EngineManifest:
    shape: dict[str, object] = {
        "kind": kind,
        "engine": name,
        "version": "1",
        "title": name,
        "lane": Lane.CPU if kind.startswith("prepare") else Lane.GPU,
        "qualities": tuple(Quality),
        "params_schema": {},
        "typical_s": {Quality.DRAFT: 5.0, Quality.STANDARD: 20.0},
    }
    return EngineManifest.model_validate(shape | more)


def runner(*engines: EngineManifest, devices: tuple[str, ...] = ("cpu",)) -> RunnerManifest:
    shown = tuple(Device(name=name, title=name, memory_bytes=1) for name in devices)
    return RunnerManifest(
        runner="r1", devices=shown, engines=engines, busy=1, announced_at=datetime.now(UTC)
    )


def test_lanes_share_a_processor_and_not_a_gpu() -> None:
    assert machine((runner(),)) == Machine({Lane.GPU: 1, Lane.CPU: 1}, 1)
    assert machine((runner(devices=("cuda:0", "cuda:1")),)) == Machine(
        {Lane.GPU: 2, Lane.CPU: 1}, 3
    )


def test_what_was_measured_here_counts_and_sets_the_pace_of_what_was_not() -> None:
    outlook = Outlook(lambda: (runner(engine("train_lora")),))
    assert outlook.stage("train_lora", None, Quality.DRAFT).basis is Basis.TYPICAL
    outlook.learn(
        [
            StageTimes(
                kind="train_lora",
                engine="mini",
                quality=Quality.DRAFT,
                count=3,
                median_s=7.5,
                longest_s=9,
            )
        ]
    )
    measured = outlook.stage("train_lora", None, Quality.DRAFT)
    assert (measured.seconds, measured.basis) == (7.5, Basis.MEASURED)
    never_tried = outlook.stage("train_lora", None, Quality.STANDARD)
    assert (never_tried.seconds, never_tried.basis) == (20 * 7.5 / 5, Basis.TYPICAL)
    assert outlook.stage("train_lora", None, Quality.BEST).basis is Basis.UNKNOWN
    assert outlook.stage("dance", None, Quality.BEST).seconds is None


@pytest.mark.parametrize(
    ("job_type", "inputs", "stages"),
    [
        (JobType.TRAIN, "photos", {"prepare_dataset", "train_lora"}),
        (JobType.TRAIN, "photos,clip", {"prepare_dataset", "train_lora", "train_voice"}),
        (
            JobType.GENERATE,
            "photos,script",
            {
                "prepare_dataset",
                "train_lora",
                "synthesize_speech",
                "generate_portrait",
                "render_video",
            },
        ),
        (
            JobType.GENERATE,
            "photos, clip, script, prompt",
            {
                "prepare_dataset",
                "train_lora",
                "train_voice",
                "synthesize_speech",
                "generate_portrait",
                "render_video",
            },
        ),
        (
            JobType.GENERATE,
            "profile,script",
            {"synthesize_speech", "generate_portrait", "render_video"},
        ),
    ],
)
def test_the_graph_of_an_estimate_is_that_which_the_planner_would_make(
    job_type: JobType, inputs: str, stages: set[str]
) -> None:
    graph = offered(offers(), job_type, given_inputs(inputs))
    assert graph is not None
    assert {stage.id for stage in graph.stages} == stages


def test_without_the_inputs_that_it_needs_nothing_can_be_estimated() -> None:
    assert offered(offers(), JobType.GENERATE, given_inputs("script")) is None
    assert offered(offers(), JobType.PIPELINE, given_inputs("photos")) is None


def test_an_estimate_claims_nothing_where_a_stage_is_unknown() -> None:
    graph = without(GRAPH, ())
    kinds = [engine(stage.kind) for stage in graph.stages]
    whole, part = Outlook(lambda: (runner(*kinds),)), Outlook(lambda: (runner(*kinds[:2]),))
    typical = estimate(graph, Quality.STANDARD, whole)
    assert (typical.seconds, typical.basis) == (60, Basis.TYPICAL)
    unknown = estimate(graph, Quality.STANDARD, part)
    assert (unknown.seconds, unknown.basis) == (None, Basis.UNKNOWN)
    assert unknown.stages == {"train_lora": 20, "train_voice": 20}


async def schedule(story: Story, kind: str, attempt: int = 1) -> int:
    return await story.tell(
        e.StageScheduled(
            stage="prepare_dataset",
            attempt=attempt,
            kind=kind,
            engine="mini",
            engine_version="1",
            lane=Lane.CPU,
            params={},
            inputs={},
            input_hash="0" * 64,
            seed=0,
        )
    )


async def test_owners_see_their_place_and_how_it_moves_also_after_a_restart(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    stories = [await Story.begin(broker, api) for _ in range(3)]
    for story in stories:
        await story.plan()
        await schedule(story, "queue_kind")
    last = stories[2].job
    async with watching(stack.url) as watcher:
        update = await watcher.subscribe(last)
        if update["queuePosition"] != 3:
            update = await watcher.until(queuePosition=3)
        assert update["stages"][0]["queuePosition"] == 3
        started = e.StageStarted(stage="prepare_dataset", attempt=1, runner="r1", device="cpu")
        await stories[0].tell(started)
        await watcher.until(queuePosition=2)
        stack.gateway.kill()
    stack.gateway.start()
    async with watching(stack.url) as watcher:
        update = await watcher.subscribe(last)
        if update["queuePosition"] != 2:
            update = await watcher.until(queuePosition=2)
        shown = (await api.get(f"/api/jobs/{last}")).json()
        assert (shown["queuePosition"], shown["stages"][0]["queuePosition"]) == (2, 2)
        listed = (await api.get("/api/jobs?limit=3")).json()["jobs"]
        assert {one["jobId"]: one["queuePosition"] for one in listed} == {
            stories[0].job: None,
            stories[1].job: 1,
            last: 2,
        }
        before = (await api.get("/api/stats")).json()["queue"]
        await stories[1].tell(e.JobCancelled())
        await watcher.until(queuePosition=1)
        after = (await api.get("/api/stats")).json()["queue"]
        assert after["waiting"] == before["waiting"] - 1
        assert after["running"] >= 1
        await stories[2].tell(e.JobCancelled())
        await watcher.until(queuePosition=None, status="cancelled")
        await stories[0].tell(e.JobCancelled())


async def test_runners_figures_and_estimates_are_shown_as_they_are_announced(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    kinds = ("prepare_dataset", "train_lora", "train_voice")
    await announce(broker, runner(*(engine(kind) for kind in kinds)))
    await announce(
        broker,
        PlannerManifest(
            planner="p1", offers=offers(), runner_grace_s=60, announced_at=datetime.now(UTC)
        ),
    )
    path = "/api/estimates?type=train&inputs=photos,clip"
    while (answer := await api.get(path)).status_code != 200:
        assert answer.status_code == 422
    by_quality = {one["quality"]: one for one in answer.json()["estimates"]}
    assert list(by_quality) == ["draft", "standard", "best"]
    assert by_quality["best"] == {
        "quality": "best",
        "seconds": None,
        "basis": "unknown",
        "stages": {},
    }
    assert by_quality["draft"]["basis"] in ("typical", "measured")
    assert set(by_quality["draft"]["stages"]) == set(kinds)
    [shown] = [
        one for one in (await api.get("/api/runners")).json()["runners"] if one["runnerId"] == "r1"
    ]
    assert shown["busy"] == 1
    assert shown["devices"] == [{"name": "cpu", "title": "cpu", "memoryBytes": 1}]
    assert [one["kind"] for one in shown["engines"]] == list(kinds)
    assert shown["engines"][0] == {
        "kind": "prepare_dataset",
        "engine": "mini",
        "version": "1",
        "title": "mini",
        "lane": "cpu",
        "available": True,
        "missing": [],
        "base": None,
    }
    refused = await api.get("/api/estimates?type=generate&inputs=script")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-request")
    assert "photos" in refused.json()["remedy"]
    assert (await api.get("/api/estimates?type=dance")).status_code == 422


async def test_figures_count_jobs_and_what_they_take_up(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    before = (await api.get("/api/stats")).json()
    story = await Story.begin(broker, api)
    await story.finish()
    while (after := (await api.get("/api/stats")).json())["jobs"].get("completed", 0) == before[
        "jobs"
    ].get("completed", 0):
        pass
    assert after["usage"]["jobs"] == before["usage"]["jobs"] + 1
    assert after["usage"]["storedBytes"] > before["usage"]["storedBytes"]
    assert after["usage"]["quotaBytes"] is None
    [times] = [
        one
        for one in after["stages"]
        if (one["kind"], one["engine"], one["quality"]) == ("train_lora", "mini", "standard")
    ]
    assert 0 < times["medianS"] <= times["longestS"]
    assert times["count"] >= 1
