"""What the planner decides, told as stories."""

from datetime import timedelta
from typing import Any

import pytest
from contracts.capabilities import Weights
from contracts.commands import Lane
from contracts.graph import Binding, Edge, EdgeKind, Graph, RetryPolicy, Stage
from contracts.job import JobStatus, StageStatus
from given import (
    NO_RUNNER,
    T0,
    Story,
    a_fleet,
    an_engine,
    artifacts,
    failed,
    names,
    pipeline,
    started,
    train,
)
from planner.domain.effects import commands, stops
from planner.domain.graphs import offers
from planner.domain.reuse import Reusable

from contracts import events as e


def test_a_request_is_planned_and_its_first_stage_scheduled_at_once() -> None:
    decided = Story().given(train()).decide().events
    assert names(decided) == ["JobPlanned", "StageScheduled prepare_dataset"]


def test_independent_stages_run_side_by_side() -> None:
    story = Story().given(train()).then().runs("prepare_dataset", "faces", "clip")
    assert names(story.decide().events) == [
        "StageScheduled train_lora",
        "StageScheduled train_voice",
    ]


def test_without_a_clip_no_voice_is_trained() -> None:
    story = Story().given(train(inputs=artifacts("photos"))).then()
    assert set(story.state.stages) == {"prepare_dataset", "train_lora"}


def test_a_video_of_new_photos_is_the_whole_chain() -> None:
    request = train(type=e.JobType.GENERATE, inputs=artifacts("photos", "clip", "script"))
    story = Story().given(request).then().runs("prepare_dataset", "faces", "clip").then()
    story = story.runs("train_voice", "voice").then().runs("train_lora", "lora").then()
    story = story.runs("synthesize_speech", "speech", "timings").runs(
        "generate_portrait", "portrait"
    )
    story = story.then()
    render = story.state.stages["render_video"].command
    assert render is not None
    assert set(render.inputs) == {"portrait", "speech", "timings"}
    story = story.runs("render_video", "video").then()
    assert story.state.status is JobStatus.COMPLETED
    assert story.state.progress == 1.0


def test_a_video_from_a_profile_trains_nothing() -> None:
    request = train(type=e.JobType.GENERATE, inputs=artifacts("lora", "faces", "voice", "script"))
    decided = Story().given(request).decide().events
    assert names(decided) == [
        "JobPlanned",
        "StageScheduled synthesize_speech",
        "StageScheduled generate_portrait",
    ]


def test_a_request_that_lacks_what_it_needs_fails_with_a_reason() -> None:
    [event] = (
        Story().given(train(type=e.JobType.GENERATE, inputs=artifacts("photos"))).decide().events
    )
    assert isinstance(event, e.JobFailed)
    assert "script" in event.cause


def test_nothing_follows_while_a_stage_runs() -> None:
    story = Story().given(train()).then().given(started("prepare_dataset", 1))
    assert story.decide().events == ()


def test_a_failure_that_may_pass_is_tried_again_after_a_pause() -> None:
    story = Story().given(train()).then().given(failed("prepare_dataset", 1, retryable=True))
    [retry] = story.decide().events
    assert isinstance(retry, e.StageRetryScheduled)
    assert retry.at == T0 + timedelta(seconds=2)
    assert story.decide().wake_at == retry.at
    story = story.then()
    assert story.later(1).decide().events == ()
    [again] = story.later(2).decide().events
    assert isinstance(again, e.StageScheduled)
    assert again.attempt == 2


def test_a_failure_that_would_repeat_itself_fails_the_job_with_its_reason() -> None:
    story = Story().given(train()).then().given(failed("prepare_dataset", 1, retryable=False))
    [event] = story.decide().events
    assert isinstance(event, e.JobFailed)
    assert (event.stage, event.code) == ("prepare_dataset", "no-face")
    assert event.remedy == "Use another photo"


def test_a_stage_is_given_up_after_its_attempts() -> None:
    story = Story().given(train()).then()
    for attempt in (1, 2, 3):
        story = story.given(failed("prepare_dataset", attempt, retryable=True)).then()
        story = story.later(1000).then()
    assert story.state.status is JobStatus.FAILED


def test_a_late_word_from_an_earlier_attempt_changes_nothing() -> None:
    story = Story().given(train()).then().given(failed("prepare_dataset", 1, retryable=True)).then()
    story = story.later(10).then()
    late = e.StageCompleted(
        stage="prepare_dataset", attempt=1, runner="zombie", outputs={}, metrics={}, duration_s=1
    )
    assert story.given(late).state.stages == story.state.stages


def test_an_attempt_past_its_deadline_fails_and_is_stopped() -> None:
    story = Story().given(train()).then()
    deadline = story.decide().wake_at
    assert deadline is not None
    story = story.having(now=deadline)
    decided = story.decide().events
    assert names(decided) == ["StageFailed prepare_dataset", "StageRetryScheduled prepare_dataset"]
    [stop] = stops(story.state, story.given(decided[0]).state)
    assert (stop.stage, stop.attempt) == ("prepare_dataset", 1)


def test_a_cancelled_job_ends_and_its_work_is_stopped() -> None:
    story = Story().given(train()).then().given(started("prepare_dataset", 1))
    cancelled = story.given(e.JobCancelRequested(by="me"))
    assert names(cancelled.decide().events) == ["JobCancelled"]
    ended = cancelled.then()
    assert ended.state.status is JobStatus.CANCELLED
    assert [stop.stage for stop in stops(cancelled.state, ended.state)] == ["prepare_dataset"]
    assert list(commands(ended.state)) == []


def test_when_one_branch_fails_the_other_is_stopped() -> None:
    story = Story().given(train()).then().runs("prepare_dataset", "faces", "clip").then()
    story = story.given(started("train_lora", 1), failed("train_voice", 1, retryable=False))
    assert [stop.stage for stop in stops(story.state, story.then().state)] == ["train_lora"]


def test_a_failed_job_that_is_retried_keeps_what_was_done() -> None:
    story = Story().given(train()).then().runs("prepare_dataset", "faces", "clip").then()
    story = story.runs("train_lora", "lora").given(failed("train_voice", 1, retryable=False)).then()
    story = story.given(e.JobRetryRequested(by="me"))
    assert story.state.status is JobStatus.QUEUED
    [again] = story.decide().events
    assert isinstance(again, e.StageScheduled)
    assert (again.stage, again.attempt) == ("train_voice", 2)


def test_the_same_work_is_not_done_twice() -> None:
    first = Story().given(train()).then().runs("prepare_dataset", "faces", "clip")
    stage = first.state.stages["prepare_dataset"]
    assert stage.command is not None
    done = {stage.command.input_hash: Reusable("old", stage.id, stage.outputs, {"n": 1})}
    decided = Story(reusable=done).given(train()).decide().events
    assert names(decided) == [
        "JobPlanned",
        "StageReused prepare_dataset",
        "StageScheduled train_lora",
        "StageScheduled train_voice",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "you"},
        {"seed": 1},
        {"inputs": artifacts("photos", "clip") | {"photos": artifacts("other")["other"]}},
        {"params": {"prepare_dataset": {"x": 1}}},
    ],
)
def test_work_that_differs_in_anything_is_done_anew(changes: dict[str, object]) -> None:
    def digest(request: e.JobRequested) -> str:
        command = Story().given(request).then().state.stages["prepare_dataset"].command
        assert command is not None
        return command.input_hash

    assert digest(train(**changes)) != digest(train())


def test_a_job_waits_for_a_runner_and_then_says_that_none_came() -> None:
    story = Story(fleet=NO_RUNNER).given(train())
    assert names(story.decide().events) == ["JobPlanned"]
    assert story.decide().wake_at == T0 + timedelta(seconds=120)
    decided = story.later(121).then().having(now=T0 + timedelta(seconds=242)).decide().events
    [event] = [item for item in decided if isinstance(item, e.JobFailed)]
    assert event.code == "no-runner"
    assert "prepare_dataset" in event.cause


def test_absent_weights_are_named_with_how_to_get_them() -> None:
    weights = Weights(
        name="sdxl-base", size_bytes=7 * 10**9, licence="OpenRAIL++", how_to_get="Pull"
    )
    lacking = an_engine("prepare_dataset", "sdxl", available=False, missing=(weights,))
    story = Story(fleet=a_fleet([lacking])).given(train()).then().later(200)
    [event] = story.decide().events
    assert isinstance(event, e.JobFailed)
    assert event.code == "weights-absent"
    assert "7.0 GB" in event.remedy


def test_the_engine_that_was_asked_for_is_used() -> None:
    fleet = a_fleet(
        [an_engine("prepare_dataset"), an_engine("prepare_dataset", "other", lane=Lane.CPU)]
    )
    story = Story(fleet=fleet).given(train(engines={"prepare_dataset": "other"})).then()
    command = story.state.stages["prepare_dataset"].command
    assert command is not None
    assert (command.engine, command.lane) == ("other", Lane.CPU)


def test_what_an_engine_has_trained_is_used_by_its_namesake() -> None:
    names = ("large", "mini")
    both = [an_engine(kind, name) for kind in ("train_lora", "generate_portrait") for name in names]
    fleet = a_fleet([an_engine("prepare_dataset", "local"), *both])
    graph = Graph(
        stages=(
            Stage(id="train_lora", kind="train_lora", engine="mini"),
            Stage(
                id="generate_portrait",
                kind="generate_portrait",
                inputs={"lora": Binding(stage="train_lora", output="lora")},
            ),
        )
    )
    story = Story(fleet=fleet).given(pipeline(graph)).then().runs("train_lora", "lora").then()
    command = story.state.stages["generate_portrait"].command
    assert command is not None
    assert command.engine == "mini"
    # Nobody asked for one: its name settles the draw.
    plain = graph.model_copy(update={"stages": (Stage(id="a", kind="generate_portrait"),)})
    command = Story(fleet=fleet).given(pipeline(plain)).then().state.stages["a"].command
    assert command is not None
    assert command.engine == "large"


def test_a_voice_is_spoken_by_the_engine_that_was_asked_to_make_it() -> None:
    """Even by one that is used by name alone, and fits no quality by itself."""
    kinds = ("prepare_dataset", "train_lora", "train_voice", "synthesize_speech")
    named = [an_engine(kind, "cloned", qualities=()) for kind in kinds[2:]]
    fleet = a_fleet([*(an_engine(kind, "matched") for kind in kinds), *named])
    for engines, expected in (({"train_voice": "cloned"}, "cloned"), ({}, "matched")):
        request = train(
            type=e.JobType.GENERATE,
            inputs=artifacts("photos", "clip", "script"),
            engines=engines,
        )
        story = Story(fleet=fleet).given(request).then().runs("prepare_dataset", "faces", "clip")
        story = story.then().runs("train_voice", "voice").then()
        command = story.state.stages["synthesize_speech"].command
        assert command is not None
        assert command.engine == expected


def test_quality_stands_for_parameters_and_the_users_own_come_first() -> None:
    presets = {e.Quality.DRAFT: {"steps": 10, "rank": 4}}
    fleet = a_fleet([an_engine("prepare_dataset", presets=presets)])
    request = train(quality=e.Quality.DRAFT, params={"prepare_dataset": {"steps": 20}})
    command = Story(fleet=fleet).given(request).then().state.stages["prepare_dataset"].command
    assert command is not None
    assert command.params == {"steps": 20, "rank": 4}


def _graph(kind: EdgeKind) -> Graph:
    return Graph(
        stages=(
            Stage(id="first", kind="train_lora", retry=RetryPolicy(attempts=1)),
            Stage(id="second", kind="render_video"),
        ),
        edges=(Edge(source="first", target="second", kind=kind),),
    )


@pytest.mark.parametrize(
    ("kind", "succeeds", "expected"),
    [
        (EdgeKind.ON_SUCCESS, True, ["StageScheduled second"]),
        (EdgeKind.ON_SUCCESS, False, ["JobFailed first"]),
        (EdgeKind.ON_FAILURE, True, ["StageSkipped second", "JobCompleted"]),
        (EdgeKind.ON_FAILURE, False, ["StageScheduled second"]),
        (EdgeKind.NORMAL, True, ["StageScheduled second"]),
    ],
)
def test_edges_decide_what_runs(kind: EdgeKind, succeeds: bool, expected: list[str]) -> None:
    story = Story().given(pipeline(_graph(kind))).then()
    story = story.runs("first") if succeeds else story.given(failed("first", 1, retryable=False))
    assert names(story.decide().events) == expected


def test_a_graph_that_waits_for_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        Graph(
            stages=(
                Stage(id="a", kind="k", inputs={"x": Binding(stage="b", output="o")}),
                Stage(id="b", kind="k", inputs={"x": Binding(stage="a", output="o")}),
            )
        )


def test_progress_counts_what_was_done_by_weight_and_never_goes_back() -> None:
    story = Story().given(train()).then().runs("prepare_dataset", "faces", "clip").then()
    before = story.state.progress
    assert 0 < before < 1
    story = story.given(failed("train_lora", 1, retryable=True)).then().later(100).then()
    assert story.state.progress >= before


def test_every_offer_leads_to_the_graph_that_its_request_gets() -> None:
    for offer in offers():
        inputs = artifacts(*offer.needs, *offer.may_have)
        story = Story().given(train(type=offer.type, inputs=inputs)).then()
        assert story.state.graph == offer.graph


def test_an_offer_needs_what_it_says_it_needs() -> None:
    for offer in offers():
        for missing in offer.needs:
            inputs = artifacts(*(name for name in offer.needs if name != missing))
            [event] = Story().given(train(type=offer.type, inputs=inputs)).decide().events
            assert isinstance(event, e.JobFailed), f"{offer.type} without {missing}"


def test_music_plays_in_the_video_and_nowhere_else() -> None:
    for given in (("photos",), ("lora", "faces")):
        inputs = artifacts(*given, "script", "music")
        story = Story().given(train(type=e.JobType.GENERATE, inputs=inputs)).then()
        assert story.state.graph is not None
        takes = {one.id for one in story.state.graph.stages if "music" in one.inputs}
        assert takes == {"render_video"}


@pytest.mark.parametrize("burns", [True, False])
def test_a_video_takes_subtitles_from_its_speech_only_to_draw_them(burns: bool) -> None:
    request = train(
        type=e.JobType.GENERATE,
        inputs=artifacts("lora", "faces", "script"),
        params={"render_video": {"burn_subtitles": burns}},
    )
    story = Story().given(request).then().runs("synthesize_speech", "speech", "timings")
    story = story.runs("generate_portrait", "portrait").then()
    assert story.state.graph is not None
    bound = story.state.graph.stage("render_video").inputs.get("subtitles")
    assert (bound is not None) == burns
    # An engine that makes no subtitles stops nothing.
    assert story.state.stages["render_video"].status is StageStatus.SCHEDULED


@pytest.mark.parametrize("who", [("photos", "clip"), ("lora", "faces", "voice")])
def test_a_topic_is_written_about_before_anybody_speaks(who: tuple[str, ...]) -> None:
    request = train(type=e.JobType.GENERATE, inputs=artifacts(*who, "topic"))
    graph = Story().given(request).then().state.graph
    assert graph is not None
    assert graph.stage("write_script").inputs["topic"].stage is None
    assert graph.stage("synthesize_speech").inputs["script"].stage == "write_script"
    scene = graph.stage("generate_portrait").inputs["prompt"]
    assert (scene.stage, scene.output, scene.optional) == ("write_script", "scene", True)
    assert {"generate_portrait", "synthesize_speech"} < graph.descendants("write_script")


def test_the_users_own_prompt_goes_before_the_scene_and_own_words_before_a_topic() -> None:
    inputs = artifacts("lora", "faces", "topic", "prompt")
    graph = Story().given(train(type=e.JobType.GENERATE, inputs=inputs)).then().state.graph
    assert graph is not None
    assert graph.stage("generate_portrait").inputs["prompt"].stage is None
    said = train(type=e.JobType.GENERATE, inputs=inputs | artifacts("script"))
    graph = Story().given(said).then().state.graph
    assert graph is not None
    assert {one.id for one in graph.stages} == {
        "synthesize_speech",
        "generate_portrait",
        "render_video",
    }


@pytest.mark.parametrize("asked", [{"params": {"upscale": {}}}, {"engines": {"upscale": "onnx"}}])
def test_a_portrait_is_enlarged_before_it_talks_if_that_is_asked_for(asked: dict[str, Any]) -> None:
    inputs = artifacts("lora", "faces", "script")
    request = train(type=e.JobType.GENERATE, inputs=inputs, **asked)
    graph = Story().given(request).then().state.graph
    assert graph is not None
    assert graph.stage("upscale").inputs["picture"].stage == "generate_portrait"
    assert graph.stage("render_video").inputs["portrait"].stage == "upscale"
    assert graph.stage("upscale").engine == asked.get("engines", {}).get("upscale")
