"""Recorded jobs decided anew: the same is found the same, and what is not is found."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from contracts.capabilities import Weights
from contracts.envelope import Recorded
from contracts.graph import Binding, Edge, EdgeKind, Graph, RetryPolicy, Stage
from given import NO_RUNNER, a_fleet, an_engine, artifacts, pipeline, train
from planner.domain.decide import RUNNER_GRACE_S
from planner.domain.recorded import MissingHistoryError
from planner.domain.replay import SOURCE, Decided, is_decision, replay
from planner.domain.reuse import Reusable
from recording import Recording

from contracts import events as e

TRAINING = train(inputs=artifacts("photos"))


def trained(job: str = "job") -> Recording:
    recording = Recording(job).asked(TRAINING)
    return recording.makes("prepare_dataset", "faces").makes("train_lora", "lora")


def retried_by_hand() -> Recording:
    recording = Recording().asked(TRAINING).fails("prepare_dataset")
    recording.asked(e.JobRetryRequested(by="me"))
    return recording.makes("prepare_dataset", "faces").makes("train_lora", "lora")


def tried_again() -> Recording:
    recording = Recording().asked(TRAINING).fails("prepare_dataset", retryable=True)
    return recording.later(60).planned().makes("prepare_dataset", "faces")


def dead_letter() -> Recording:
    recording = Recording().asked(TRAINING).fails("prepare_dataset", code=e.RUNNER_LOST)
    dropped = e.DeadLetterDropped(stage="prepare_dataset", attempt=1, by="me")
    return recording.asked(dropped)


def late() -> Recording:
    graph = Graph(stages=(Stage(id="count", kind="prepare_dataset", deadline_s=5),))
    recording = Recording().asked(pipeline(graph)).later(60).planned()
    return recording.later(60).planned()


def without_runner() -> Recording:
    recording = Recording(fleet=NO_RUNNER).asked(TRAINING)
    return recording.later(RUNNER_GRACE_S + 1).planned()


def without_weights() -> Recording:
    missing = Weights(name="big", size_bytes=7_000_000_000, licence="MIT", how_to_get="ask")
    engine = an_engine("prepare_dataset", "other", available=False, missing=(missing,))
    recording = Recording(fleet=a_fleet([engine])).asked(TRAINING)
    return recording.later(RUNNER_GRACE_S + 1).planned()


def handled() -> Recording:
    kind = "prepare_dataset"
    graph = Graph(
        stages=(
            Stage(id="first", kind=kind, params={"does": "refuse"}, retry=RetryPolicy(attempts=1)),
            Stage(id="rescue", kind=kind),
            Stage(id="more", kind=kind, inputs={"faces": Binding(stage="first", output="faces")}),
        ),
        edges=(Edge(source="first", target="rescue", kind=EdgeKind.ON_FAILURE),),
    )
    preset = an_engine(kind, presets={e.Quality.STANDARD: {"steps": 3}})
    recording = Recording(fleet=a_fleet([preset])).asked(pipeline(graph))
    return recording.fails("first").makes("rescue", "faces")


def cancelled() -> Recording:
    return Recording().asked(TRAINING).asked(e.JobCancelRequested(by="me"))


def incomplete() -> Recording:
    return Recording().asked(train(inputs={}))


def replayed(recording: Recording, *others: Recording, settled: bool = True) -> list[Decided]:
    histories = {other.job: other.history for other in others}
    return list(replay(recording.history, histories, settled=settled))


MADE: tuple[Callable[[], Recording], ...] = (
    trained,
    retried_by_hand,
    tried_again,
    dead_letter,
    late,
    without_runner,
    without_weights,
    handled,
    cancelled,
    incomplete,
)


@pytest.mark.parametrize("made", MADE)
def test_what_the_planner_decided_it_decides_again(made: Callable[[], Recording]) -> None:
    recording = made()
    decisions = replayed(recording)
    assert decisions
    assert all(decided.same for decided in decisions)
    assert [decided for decided in decisions if decided.absent] == []
    told = [recorded for recorded in recording.history if is_decision(recorded)]
    assert [recorded for decided in decisions for recorded in decided.recorded] == told


@pytest.mark.parametrize(
    "made", [trained, retried_by_hand, dead_letter, handled, cancelled, incomplete]
)
def test_a_decision_that_is_missing_at_the_end_of_a_record_is_found(
    made: Callable[[], Recording],
) -> None:
    recording = made()
    while not is_decision(missing := recording.history.pop()):
        pass
    *before, found = replayed(recording)
    assert found.recorded == ()
    assert found.today == (missing.event,)
    assert all(decided.same for decided in before)


def test_how_often_a_failure_is_tried_again_is_seen_in_the_difference() -> None:
    recording = tried_again()
    [index] = [i for i, r in enumerate(recording.history) if r.type == "StageRetryScheduled"]
    event = recording.history[index].event
    assert isinstance(event, e.StageRetryScheduled)
    sooner = event.model_copy(update={"at": event.at - timedelta(seconds=1)})
    recording.history[index] = recording.history[index]._replace(event=sooner)
    [found] = [decided for decided in replayed(recording) if not decided.same]
    assert [recorded.event for recorded in found.recorded] == [sooner]
    assert found.today == (event,)
    assert found.sequence == recording.history[index - 1].sequence


def test_a_decision_that_nobody_makes_today_is_a_difference() -> None:
    recording = trained()
    recording.history[-1] = recording.history[-1]._replace(
        event=e.JobFailed(code="odd", cause="none", remedy="none")
    )
    [found] = [decided for decided in replayed(recording) if not decided.same]
    assert [event.type_name() for event in found.today] == ["JobCompleted"]


def test_a_deadline_that_is_far_from_what_it_would_be_is_a_difference() -> None:
    recording = Recording().asked(TRAINING)
    scheduled = recording.history[-1].event
    assert isinstance(scheduled, e.StageScheduled)
    assert scheduled.deadline is not None
    other = scheduled.model_copy(update={"deadline": scheduled.deadline + timedelta(hours=1)})
    recording.history[-1] = recording.history[-1]._replace(event=other)
    assert [decided.same for decided in replayed(recording)] == [False]


def test_a_job_that_has_just_moved_may_have_its_decision_under_way() -> None:
    recording = trained()
    recording.history.pop()
    assert not replayed(recording)[-1].same
    assert all(decided.same for decided in replayed(recording, settled=False))


def test_an_engine_that_was_used_later_is_told_to_have_been_away_before() -> None:
    graph = Graph(stages=(Stage(id="a", kind="train_lora"), Stage(id="b", kind="train_voice")))
    recording = Recording(fleet=a_fleet([an_engine("train_lora")])).asked(pipeline(graph))
    recording.fleet = a_fleet()
    recording.makes("a", "lora").makes("b", "voice")
    first, *rest = replayed(recording)
    assert first.same
    assert [str(use) for use in first.absent] == ["mini for train_voice"]
    assert all(decided.same and not decided.absent for decided in rest)


def test_a_stage_that_was_taken_over_is_taken_over_again_from_the_job_that_made_it() -> None:
    first = trained("first")
    known = {
        stage.input_hash: Reusable("first", stage.id, stage.outputs, stage.metrics)
        for stage in first.state.stages.values()
        if stage.input_hash
    }
    second = Recording("second", reusable=known).asked(TRAINING)
    assert second.state.status == "completed"
    assert [decided.same for decided in replayed(second, first)] == [True]
    with pytest.raises(MissingHistoryError, match="second took something over from job first"):
        replayed(second)


def test_a_fork_takes_over_what_its_parent_had_when_it_was_forked() -> None:
    parent = Recording("parent").asked(TRAINING).makes("prepare_dataset", "faces")
    fork = e.Fork(job="parent", stage="train_lora")
    forked = Recording("forked", parent=parent.state, now=parent.now)
    forked.asked(TRAINING.model_copy(update={"forked_from": fork, "seed": 4}))
    parent.later(60).makes("train_lora", "lora").asked(e.JobDeleted(by="me"))
    [decided] = replayed(forked, parent)
    assert decided.same
    assert [event.type_name() for event in decided.today] == [
        "JobPlanned",
        "StageReused",
        "StageScheduled",
    ]
    with pytest.raises(MissingHistoryError):
        replayed(forked)


def test_only_what_the_planner_told_is_decided_again() -> None:
    recording = trained()
    recording.history = [
        recorded._replace(source="/myspinbot/test") if recorded.source == SOURCE else recorded
        for recorded in recording.history
    ]
    assert replayed(recording) == []


def test_an_empty_history_holds_no_decision() -> None:
    nothing: list[Recorded] = []
    assert list(replay(nothing)) == []
