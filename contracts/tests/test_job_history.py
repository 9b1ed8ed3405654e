"""The fold: what is kept of attempts and samples, and what a deletion means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from contracts.artifacts import Artifact
from contracts.commands import Lane
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Graph, RetryPolicy, Stage
from contracts.job import AttemptState, JobState, JobStatus, Outcome, StageState, StageStatus
from contracts.stagefold import MOST_SAMPLES, changed

from contracts import events as e

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
ARTIFACT = Artifact(key="a/b", size=1, sha256="0" * 64, media_type="a/b")
HASH = "1" * 64
GRAPH = Graph(stages=(Stage(id="a", kind="k", retry=RetryPolicy(attempts=3)),))
PLANNED = (
    e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=GRAPH),
    e.JobPlanned(graph=GRAPH),
)
DELETED = e.JobDeleted(by="me")
RETRY = e.JobRetryRequested(by="me")
FAILED_JOB = e.JobFailed(stage="a", code="c", cause="c", remedy="r")


def scheduled(attempt: int, steps: int = 1) -> e.StageScheduled:
    return e.StageScheduled(
        stage="a",
        attempt=attempt,
        kind="k",
        engine="e",
        engine_version="1",
        lane=Lane.CPU,
        params={"steps": steps},
        inputs={},
        input_hash=HASH,
        seed=0,
    )


def started(attempt: int, resumed_from: int | None = None, runner: str = "r") -> e.StageStarted:
    return e.StageStarted(
        stage="a", attempt=attempt, runner=runner, device="cpu", resumed_from_step=resumed_from
    )


def sampled(attempt: int, step: int) -> e.StageSampled:
    return e.StageSampled(stage="a", attempt=attempt, step=step, caption="c", artifact=ARTIFACT)


def failed(attempt: int, retryable: bool = True) -> e.StageFailed:
    return e.StageFailed(
        stage="a", attempt=attempt, code=f"c{attempt}", cause="c", remedy="r", retryable=retryable
    )


def completed(attempt: int, runner: str = "r") -> e.StageCompleted:
    return e.StageCompleted(
        stage="a",
        attempt=attempt,
        runner=runner,
        outputs={"o": (ARTIFACT,)},
        metrics={},
        duration_s=1,
    )


def after(*events: e.Event, state: JobState | None = None) -> JobState:
    """The state after events that are told one second apart."""
    state = state or initial("job")
    for sequence, event in enumerate(events, state.sequence + 1):
        time = T0 + timedelta(seconds=sequence)
        state = evolve(state, Recorded("job", event, f"e{sequence}", "/test", time, sequence))
    return state


def attempts(*events: e.Event) -> tuple[AttemptState, ...]:
    return after(*PLANNED, *events).stages["a"].attempts


ENDINGS = {
    JobStatus.COMPLETED: (scheduled(1), completed(1), e.JobCompleted()),
    JobStatus.FAILED: (FAILED_JOB,),
    JobStatus.CANCELLED: (e.JobCancelRequested(by="me"), e.JobCancelled()),
}


@pytest.mark.parametrize("status", ENDINGS)
def test_an_ended_job_can_be_deleted_and_then_nothing_changes_it(status: JobStatus) -> None:
    gone = after(*PLANNED, *ENDINGS[status], DELETED)
    assert gone.deleted
    assert gone.status is status
    late = (RETRY, DELETED, scheduled(2), started(1), completed(1), sampled(1, 1), FAILED_JOB)
    later = after(*late, state=gone)
    assert later == gone.model_copy(update={"sequence": later.sequence})


@pytest.mark.parametrize("events", [(), (scheduled(1),), (scheduled(1), started(1))])
def test_a_job_that_has_not_ended_is_not_deleted(events: tuple[e.Event, ...]) -> None:
    before = after(*PLANNED, *events)
    assert after(DELETED, state=before) == before.model_copy(
        update={"sequence": before.sequence + 1}
    )


def test_a_job_that_runs_again_after_a_retry_is_not_deleted() -> None:
    assert not after(*PLANNED, FAILED_JOB, RETRY, DELETED).deleted


def test_a_deletion_of_a_job_that_nobody_asked_for_is_nothing() -> None:
    assert not after(DELETED).deleted


def test_of_samples_the_newest_are_kept() -> None:
    steps = range(MOST_SAMPLES + 6)
    stage = after(*PLANNED, scheduled(1), *(sampled(1, step) for step in steps)).stages["a"]
    assert [sample.step for sample in stage.samples] == list(steps)[6:]


def test_samples_of_a_replaced_attempt_are_not_added_and_those_there_are_stay() -> None:
    events = (scheduled(1), sampled(1, 5), failed(1), scheduled(2), sampled(1, 9), sampled(2, 7))
    stage = after(*PLANNED, *events).stages["a"]
    assert [(sample.attempt, sample.step) for sample in stage.samples] == [(1, 5), (2, 7)]


def test_samples_and_attempts_outlive_a_retry_that_a_person_asked_for() -> None:
    events = (scheduled(1), started(1), sampled(1, 5), failed(1, retryable=False), FAILED_JOB)
    stage = after(*PLANNED, *events, RETRY).stages["a"]
    assert stage.status is StageStatus.PENDING
    assert [sample.step for sample in stage.samples] == [5]
    assert [attempt.outcome for attempt in stage.attempts] == [Outcome.FAILED]


def test_each_attempt_keeps_what_it_was_told_and_how_it_ended() -> None:
    first, second = attempts(
        scheduled(1, steps=10),
        started(1, runner="r1"),
        failed(1),
        scheduled(2, steps=20),
        started(2, resumed_from=5, runner="r2"),
        completed(2, runner="r2"),
    )
    assert (first.attempt, first.outcome, first.params) == (1, Outcome.FAILED, {"steps": 10})
    assert (first.runner, first.resumed_from_step) == ("r1", None)
    assert first.failure is not None
    assert first.failure.code == "c1"
    assert (second.attempt, second.outcome, second.params) == (2, Outcome.COMPLETED, {"steps": 20})
    assert (second.runner, second.resumed_from_step, second.failure) == ("r2", 5, None)
    times = [first.scheduled_at, first.started_at, first.ended_at, second.scheduled_at]
    assert times == [T0 + timedelta(seconds=second) for second in (3, 4, 5, 6)]


def test_late_words_of_a_replaced_attempt_do_not_change_its_history() -> None:
    history = attempts(scheduled(1), started(1), failed(1), scheduled(2))
    late = attempts(
        scheduled(1), started(1), failed(1), scheduled(2), started(1), failed(1), completed(1)
    )
    assert late == history


def test_an_attempt_that_is_under_way_when_its_job_ends_was_stopped() -> None:
    [attempt] = attempts(scheduled(1), started(1), *ENDINGS[JobStatus.CANCELLED])
    assert attempt.outcome is Outcome.STOPPED
    assert attempt.ended_at == T0 + timedelta(seconds=6)


def test_an_attempt_that_begins_anew_on_another_runner_stays_one_attempt() -> None:
    [attempt] = attempts(scheduled(1), started(1), started(1, resumed_from=4, runner="r2"))
    assert (attempt.runner, attempt.resumed_from_step) == ("r2", 4)
    assert attempt.outcome is Outcome.RUNNING


def test_a_reused_stage_knows_its_inputs_and_has_no_attempt() -> None:
    reused = e.StageReused(
        stage="a", from_job="j", from_stage="a", input_hash=HASH, outputs={}, metrics={}
    )
    stage = after(*PLANNED, reused).stages["a"]
    assert (stage.input_hash, stage.reused_from, stage.attempts) == (HASH, "j", ())


@pytest.mark.parametrize("event", [started(1), failed(1), completed(1), e.JobCancelled()])
def test_a_state_that_was_stored_before_attempts_were_kept_goes_on_without(event: e.Event) -> None:
    stored = after(*PLANNED, scheduled(1)).model_dump(mode="json", by_alias=True)
    del stored["stages"]["a"]["attempts"]
    del stored["stages"]["a"]["inputHash"]
    state = JobState.model_validate(stored)
    assert after(event, state=state).stages["a"].attempts == ()


def test_a_changed_model_is_what_the_library_would_have_copied() -> None:
    stage = StageState(id="one", kind="train_lora", attempt=2)
    changes = {"fraction": 0.5, "runner": "runner-1"}
    copied, expected = changed(stage, changes), stage.model_copy(update=changes)
    assert copied == expected
    assert copied.model_dump(exclude_unset=True) == expected.model_dump(exclude_unset=True)
    assert copied.model_copy(update={"attempt": 3}) == expected.model_copy(update={"attempt": 3})
    assert stage.fraction == 0.0
