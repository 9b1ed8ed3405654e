"""What a forked job takes over and what it does anew, told as stories."""

from typing import Any

import pytest
from contracts.graph import Edge, EdgeKind, Graph, Stage
from contracts.job import JobState, JobStatus, StageStatus
from given import Story, artifacts, failed, names, pipeline, train
from planner.domain.reuse import Reusable, ReusableStages

from contracts import events as e

INPUTS = artifacts("photos", "clip", "script")


def video(**changes: Any) -> e.JobRequested:
    return train(type=e.JobType.GENERATE, inputs=INPUTS).model_copy(update=changes)


def done() -> Story:
    """A video that was made from new photos, whole."""
    story = Story(job="parent").given(video()).then().runs("prepare_dataset", "faces", "clip")
    story = story.then().runs("train_voice", "voice").runs("train_lora", "lora").then()
    story = story.runs("synthesize_speech", "speech", "timings")
    story = story.runs("generate_portrait", "portrait").then()
    return story.runs("render_video", "video").then()


def fork(stage: str, parent: JobState | None, **changes: Any) -> Story:
    changes = {"forked_from": e.Fork(job="parent", stage=stage)} | changes
    return Story(parent=parent).given(video(**changes))


def test_a_fork_takes_over_what_does_not_follow_from_its_stage() -> None:
    decided = fork("generate_portrait", done().state).decide().events
    assert names(decided) == [
        "JobPlanned",
        "StageReused prepare_dataset",
        "StageReused train_lora",
        "StageReused train_voice",
        "StageReused synthesize_speech",
        "StageScheduled generate_portrait",
    ]


def test_what_is_taken_over_is_the_parents_whatever_the_new_request_says() -> None:
    parent = done().state
    changes: dict[str, Any] = {"seed": 9, "params": {"train_lora": {"steps": 5}}}
    for event in fork("render_video", parent, quality=e.Quality.DRAFT, **changes).decide().events:
        if isinstance(event, e.StageReused):
            made = parent.stages[event.stage]
            assert (event.from_job, event.from_stage) == ("parent", event.stage)
            assert event.outputs == made.outputs
            assert made.command is not None
            assert event.input_hash == made.command.input_hash


def test_the_stage_that_a_fork_starts_from_is_done_anew_even_if_nothing_changed() -> None:
    parent = done().state
    known = {
        stage.input_hash: Reusable("parent", stage.id, stage.outputs, {})
        for stage in parent.stages.values()
        if stage.input_hash
    }
    story = fork("generate_portrait", parent).having(reusable=known).then()
    assert story.state.stages["generate_portrait"].status is StageStatus.SCHEDULED
    # It makes the same again, so what follows from it need not be done.
    story = story.runs("generate_portrait", "portrait")
    assert names(story.decide().events) == ["StageReused render_video", "JobCompleted"]


def test_what_follows_is_done_anew_when_the_stage_made_something_else() -> None:
    parent = done().state
    known = {
        stage.input_hash: Reusable("parent", stage.id, stage.outputs, {})
        for stage in parent.stages.values()
        if stage.input_hash
    }
    story = fork("generate_portrait", parent, seed=9).having(reusable=known).then()
    another = e.StageCompleted(
        stage="generate_portrait",
        attempt=1,
        runner="r1",
        outputs={"portrait": artifacts("another")["another"]},
        metrics={},
        duration_s=1,
    )
    assert names(story.given(another).decide().events) == ["StageScheduled render_video"]


def test_a_fork_from_the_first_stage_takes_over_nothing() -> None:
    decided = fork("prepare_dataset", done().state).decide().events
    assert names(decided) == ["JobPlanned", "StageScheduled prepare_dataset"]


def test_a_fork_of_a_failed_job_does_what_that_had_not_done() -> None:
    story = Story(job="parent").given(video()).then().runs("prepare_dataset", "faces", "clip")
    story = story.then().runs("train_lora", "lora")
    parent = story.given(failed("train_voice", 1, retryable=False)).then().state
    assert parent.status is JobStatus.FAILED
    decided = fork("generate_portrait", parent).decide().events
    assert names(decided) == [
        "JobPlanned",
        "StageReused prepare_dataset",
        "StageReused train_lora",
        "StageScheduled train_voice",
        "StageScheduled generate_portrait",
    ]


def test_a_fork_of_a_fork_takes_over_what_its_parent_had_taken_over() -> None:
    first = fork("render_video", done().state).having(job="parent").then()
    second = fork("render_video", first.runs("render_video", "video").then().state)
    reused = [event for event in second.decide().events if isinstance(event, e.StageReused)]
    assert len(reused) == 5
    assert {event.from_job for event in reused} == {"parent"}
    assert {event.stage: event.input_hash for event in reused} == {
        stage.id: stage.input_hash
        for stage in done().state.stages.values()
        if stage.id != "render_video"
    }


def test_a_stage_of_another_kind_is_not_taken_over() -> None:
    def graph(kind: str) -> Graph:
        stages = (Stage(id="first", kind=kind), Stage(id="second", kind="render_video"))
        return Graph(stages=stages, edges=(Edge(source="first", target="second"),))

    story = Story(job="parent").given(pipeline(graph("train_lora"))).then()
    parent = story.runs("first").then().runs("second").then().state
    forked = e.Fork(job="parent", stage="second")
    same = pipeline(graph("train_lora"), forked_from=forked)
    other = pipeline(graph("train_voice"), forked_from=forked)
    assert "StageReused first" in names(Story(parent=parent).given(same).decide().events)
    assert "StageScheduled first" in names(Story(parent=parent).given(other).decide().events)


def test_what_waits_for_a_stage_in_any_way_follows_from_it() -> None:
    stages = tuple(Stage(id=name, kind="render_video") for name in ("a", "b", "c", "d"))
    edges = (
        Edge(source="a", target="b", kind=EdgeKind.ON_FAILURE),
        Edge(source="b", target="c"),
        Edge(source="d", target="c", kind=EdgeKind.ON_SUCCESS),
    )
    graph = Graph(stages=stages, edges=edges)
    assert graph.descendants("a") == {"b", "c"}
    assert graph.descendants("d") == {"c"}
    assert graph.descendants("c") == set()


def _deleted(state: JobState) -> JobState:
    return state.model_copy(update={"deleted": True})


def _of_another(state: JobState) -> JobState:
    assert state.request is not None
    theirs = state.request.model_copy(update={"owner": "you"})
    return state.model_copy(update={"request": theirs})


def test_a_fork_of_a_job_that_is_not_there_fails_in_the_same_words_for_all_reasons() -> None:
    parent = done().state
    said = set()
    for absent in (None, JobState(job="parent"), _deleted(parent), _of_another(parent)):
        [event] = fork("render_video", absent).decide().events
        assert isinstance(event, e.JobFailed)
        assert event.code == "fork-parent-unknown"
        said.add((event.cause, event.remedy))
    assert len(said) == 1


def test_a_fork_from_an_unknown_stage_fails_and_names_those_there_are() -> None:
    [event] = fork("paint", done().state).decide().events
    assert isinstance(event, e.JobFailed)
    assert event.code == "fork-stage-unknown"
    assert "paint" in event.cause
    assert "render_video" in event.remedy


def test_a_fork_of_a_job_without_a_plan_fails_with_what_to_do_instead() -> None:
    [event] = fork("render_video", Story(job="parent").given(video()).state).decide().events
    assert isinstance(event, e.JobFailed)
    assert event.remedy == "Start a new job instead"


@pytest.mark.parametrize("first_to_go", ["one", "two"])
def test_what_two_jobs_hold_is_reusable_until_both_are_deleted(first_to_go: str) -> None:
    stages = ReusableStages()
    for job in ("one", "two"):
        stages.add("hash", Reusable(job, "train_lora", {}, {}))
    stages.add("other", Reusable("one", "train_voice", {}, {}))
    found = stages.find("hash")
    assert found is not None
    assert found.job == "one"
    stages.drop(first_to_go)
    left = stages.find("hash")
    assert left is not None
    assert left.job != first_to_go
    stages.drop("one")
    stages.drop("two")
    stages.drop("two")
    assert stages.find("hash") is None
    assert len(stages) == 0
