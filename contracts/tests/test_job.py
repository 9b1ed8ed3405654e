"""The fold: whatever comes, in whatever order, the state stays one that can be trusted."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.artifacts import Artifact
from contracts.commands import Lane
from contracts.consent import Likeness
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Binding, Graph, RetryPolicy, Stage
from contracts.job import JobState, JobStatus, StageStatus
from hypothesis import given
from hypothesis import strategies as st

from contracts import events as e

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
ARTIFACT = Artifact(key="a/b", size=1, sha256="0" * 64, media_type="a/b")
GRAPH = Graph(
    stages=(
        Stage(id="a", kind="k", retry=RetryPolicy(attempts=2)),
        Stage(id="b", kind="k", inputs={"x": Binding(stage="a", output="o")}),
    )
)
REQUEST = e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=GRAPH)
CONSENT = e.ConsentGiven(covers=(Likeness.FACE,), statement=ARTIFACT, given_at=T0, by="me")


def scheduled(stage: str, attempt: int) -> e.StageScheduled:
    return e.StageScheduled(
        stage=stage,
        attempt=attempt,
        kind="k",
        engine="e",
        engine_version="1",
        lane=Lane.CPU,
        params={},
        inputs={},
        input_hash="0" * 64,
        seed=0,
    )


def started(stage: str, attempt: int) -> e.StageStarted:
    return e.StageStarted(stage=stage, attempt=attempt, runner="r", device="cpu")


def completed(stage: str, attempt: int, runner: str = "r") -> e.StageCompleted:
    return e.StageCompleted(
        stage=stage,
        attempt=attempt,
        runner=runner,
        outputs={"o": (ARTIFACT,)},
        metrics={},
        duration_s=1,
    )


def failed(stage: str, attempt: int, retryable: bool = True) -> e.StageFailed:
    return e.StageFailed(
        stage=stage, attempt=attempt, code="c", cause="c", remedy="r", retryable=retryable
    )


STAGES = st.sampled_from(("a", "b", "unknown"))
ATTEMPTS = st.integers(1, 4)
EVENTS = st.one_of(
    st.just(REQUEST),
    st.builds(
        lambda covers, origin: e.ConsentGiven(
            covers=covers, statement=ARTIFACT, given_at=T0, by="me", given_for=origin
        ),
        st.lists(st.sampled_from(Likeness), min_size=1).map(tuple),
        st.sampled_from((None, "other")),
    ),
    st.just(e.JobPlanned(graph=GRAPH)),
    st.just(e.JobCancelRequested(by="me")),
    st.just(e.JobRetryRequested(by="me")),
    st.just(e.JobCompleted()),
    st.just(e.JobCancelled()),
    st.just(e.JobFailed(code="c", cause="c", remedy="r")),
    st.just(e.JobDeleted(by="me")),
    st.just(e.ProfileErased(by="me")),
    st.builds(
        lambda s, n: e.StageSampled(stage=s, attempt=n, step=1, caption="", artifact=ARTIFACT),
        STAGES,
        ATTEMPTS,
    ),
    st.builds(
        lambda s: e.StageReused(
            stage=s, from_job="j", from_stage="a", input_hash="0" * 64, outputs={}, metrics={}
        ),
        STAGES,
    ),
    st.builds(scheduled, STAGES, ATTEMPTS),
    st.builds(started, STAGES, ATTEMPTS),
    st.builds(completed, STAGES, ATTEMPTS),
    st.builds(failed, STAGES, ATTEMPTS, st.booleans()),
    st.builds(lambda s: e.StageSkipped(stage=s, because_of="a"), STAGES),
    st.builds(
        lambda s, n: e.StageRetryScheduled(stage=s, failed_attempt=n, at=T0), STAGES, ATTEMPTS
    ),
    st.builds(
        lambda s, n, f: e.StageCheckpointed(
            stage=s, attempt=n, step=1, fraction=f, artifact=ARTIFACT
        ),
        STAGES,
        ATTEMPTS,
        st.floats(0, 1),
    ),
)


def told(*events: e.Event) -> list[JobState]:
    """The state after each event."""
    states = [initial("job")]
    for sequence, event in enumerate(events, 1):
        recorded = Recorded("job", event, f"e{sequence}", "/test", T0, sequence)
        states.append(evolve(states[-1], recorded))
    return states[1:]


@given(st.lists(EVENTS, max_size=30))
def test_the_fold_takes_anything_and_progress_never_goes_back(events: list[e.Event]) -> None:
    states = told(REQUEST, e.JobPlanned(graph=GRAPH), *events)
    progress = [state.progress for state in states if state.status is not JobStatus.COMPLETED]
    assert progress == sorted(progress)
    assert [state.sequence for state in states] == list(range(1, len(states) + 1))


@given(st.lists(EVENTS, max_size=30))
def test_a_job_that_ended_stays_ended_until_somebody_asks(events: list[e.Event]) -> None:
    [*_, ended] = told(REQUEST, e.JobPlanned(graph=GRAPH), e.JobCancelled())
    asked = (e.JobRetryRequested, e.JobDeleted)
    quiet = [event for event in events if not isinstance(event, asked)]
    states = told(REQUEST, e.JobPlanned(graph=GRAPH), e.JobCancelled(), *quiet)
    assert states[-1].model_copy(update={"sequence": ended.sequence}) == ended


@given(st.lists(EVENTS, max_size=30))
def test_a_state_survives_the_wire(events: list[e.Event]) -> None:
    state = told(REQUEST, *events)[-1]
    assert JobState.model_validate_json(state.to_json()) == state


def test_a_job_rests_on_the_consent_that_it_was_asked_for_with() -> None:
    other = CONSENT.model_copy(update={"by": "you"})
    planned = told(REQUEST, CONSENT, other, e.JobPlanned(graph=GRAPH), other)[-1]
    assert planned.consent == CONSENT
    # Nobody agrees to what has begun already.
    for begun in (e.JobPlanned(graph=GRAPH), e.JobCancelled()):
        assert told(REQUEST, begun, CONSENT)[-1].consent is None


def test_a_second_delivery_of_a_completion_changes_nothing() -> None:
    base = (REQUEST, e.JobPlanned(graph=GRAPH), scheduled("a", 1), completed("a", 1))
    states = told(*base, completed("a", 1, runner="zombie"))
    assert states[-1].stages == states[-2].stages


def test_a_failure_is_final_when_the_attempts_are_used_up() -> None:
    first = (REQUEST, e.JobPlanned(graph=GRAPH), scheduled("a", 1), failed("a", 1))
    assert told(*first)[-1].stages["a"].status is StageStatus.FAILING
    again = (*first, scheduled("a", 2), failed("a", 2))
    assert told(*again)[-1].stages["a"].status is StageStatus.FAILED


def test_a_retried_job_forgives_the_attempts_that_were_used_up() -> None:
    used_up = (
        REQUEST,
        e.JobPlanned(graph=GRAPH),
        scheduled("a", 1),
        failed("a", 1, retryable=False),
        e.JobFailed(stage="a", code="c", cause="c", remedy="r"),
        e.JobRetryRequested(by="me"),
        scheduled("a", 2),
        failed("a", 2),
    )
    assert told(*used_up)[-1].stages["a"].status is StageStatus.FAILING


def test_outputs_are_bound_to_the_inputs_that_name_them() -> None:
    state = told(REQUEST, e.JobPlanned(graph=GRAPH), scheduled("a", 1), completed("a", 1))[-1]
    assert state.bound_inputs("b") == {"x": (ARTIFACT,)}
