"""What the log means: the state of a job as a fold of its events.

Every service that needs to know how a job stands folds it with `evolve`, so planner,
projector, gateway and command line cannot disagree. The fold is total: an event that
comes late, twice, or from an attempt that is no longer the current one changes nothing,
which is what makes zombies and redeliveries harmless.
"""

from __future__ import annotations

from typing import Any

from contracts import events as e
from contracts.artifacts import Artifacts
from contracts.base import Timestamp
from contracts.envelope import Recorded
from contracts.graph import EdgeKind, Graph
from contracts.job import (
    AttemptState,
    Checkpoint,
    Failure,
    JobState,
    JobStatus,
    Outcome,
    Sample,
    StageState,
    StageStatus,
)

MOST_SAMPLES = 64
_RETRIABLE = (JobStatus.FAILED, JobStatus.CANCELLED)


def initial(job: str) -> JobState:
    """The state of a job of which nothing is known."""
    return JobState(job=job)


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """The state after one more event of the same job."""
    changed = _apply(state, recorded)
    if changed is None:
        return state.model_copy(update={"sequence": max(recorded.sequence, state.sequence)})
    return changed.model_copy(update={"sequence": recorded.sequence, "updated_at": recorded.time})


def _apply(state: JobState, recorded: Recorded) -> JobState | None:
    """The changed state, or None where the event changes nothing."""
    event = recorded.event
    if isinstance(event, e.JobRequested):
        return _requested(state, event, recorded) if state.request is None else None
    if state.request is None:
        return None
    if state.deleted:
        return None
    if isinstance(event, e.JobRetryRequested):
        return _retry(state) if state.status in _RETRIABLE else None
    if isinstance(event, e.JobDeleted):
        return state.model_copy(update={"deleted": True}) if state.status.ended else None
    if state.status.ended:
        return None
    match event:
        case e.JobCancelRequested():
            return state.model_copy(update={"cancel_requested": True})
        case e.JobPlanned():
            return _planned(state, event) if state.graph is None else None
        case e.JobCompleted():
            return _ended(state, recorded, JobStatus.COMPLETED)
        case e.JobCancelled():
            return _ended(state, recorded, JobStatus.CANCELLED)
        case e.JobFailed():
            failure = Failure(
                stage=event.stage, code=event.code, cause=event.cause, remedy=event.remedy
            )
            return _ended(state, recorded, JobStatus.FAILED, failure)
    stage = state.stages.get(getattr(event, "stage", ""))
    if stage is None:
        return None
    attempts = state.graph.stage(stage.id).retry.attempts if state.graph else 1
    changes = _stage_changes(stage, recorded, attempts)
    if changes is None:
        return None
    status = state.status if isinstance(event, e.StageScheduled) else JobStatus.RUNNING
    stages = {**state.stages, stage.id: stage.model_copy(update=changes)}
    return state.model_copy(update={"stages": stages, "status": status})


def _requested(state: JobState, event: e.JobRequested, recorded: Recorded) -> JobState:
    return state.model_copy(
        update={
            "request": event,
            "created_at": recorded.time,
            "traceparent": recorded.traceparent,
        }
    )


def _planned(state: JobState, event: e.JobPlanned) -> JobState:
    stages = {stage.id: StageState(id=stage.id, kind=stage.kind) for stage in event.graph.stages}
    return state.model_copy(update={"graph": event.graph, "stages": stages})


def _ended(
    state: JobState, recorded: Recorded, status: JobStatus, failure: Failure | None = None
) -> JobState:
    stages = {stage.id: _stopped(stage, recorded.time) for stage in state.stages.values()}
    return state.model_copy(
        update={
            "status": status,
            "stages": stages,
            "ended_at": recorded.time,
            "failure": failure,
        }
    )


def _stopped(stage: StageState, time: Timestamp) -> StageState:
    """The stage once its job has ended: an attempt that is still under way is not wanted."""
    if not stage.status.outstanding:
        return stage
    changes = {"outcome": Outcome.STOPPED, "ended_at": time}
    return stage.model_copy(update={"attempts": _last_changed(stage, changes)})


def _retry(state: JobState) -> JobState:
    """Back to the queue: what completed stays, everything else may be tried afresh."""
    stages = {
        stage.id: stage
        if stage.status is StageStatus.COMPLETED
        else StageState(
            id=stage.id,
            kind=stage.kind,
            attempt=stage.attempt,
            attempts_forgiven=stage.attempt,
            fraction=stage.fraction,
            checkpoint=stage.checkpoint,
            samples=stage.samples,
            attempts=stage.attempts,
        )
        for stage in state.stages.values()
    }
    return state.model_copy(
        update={
            "status": JobStatus.QUEUED,
            "stages": stages,
            "cancel_requested": False,
            "failure": None,
            "ended_at": None,
        }
    )


def _stage_changes(stage: StageState, recorded: Recorded, attempts: int) -> dict[str, Any] | None:
    event, time = recorded.event, recorded.time
    if stage.status.ended:
        return None
    match event:
        case e.StageScheduled() if event.attempt == stage.attempt + 1:
            return {
                "status": StageStatus.SCHEDULED,
                "attempt": event.attempt,
                "command": event,
                "input_hash": event.input_hash,
                "scheduled_at": time,
                "started_at": None,
                "retry_at": None,
                "runner": None,
                "device": None,
                "attempts": (*stage.attempts, _attempt(event, time)),
            }
        case e.StageReused():
            return _completion(event.outputs, event.metrics, time) | {
                "reused_from": event.from_job,
                "input_hash": event.input_hash,
            }
        case e.StageSkipped():
            return {"status": StageStatus.SKIPPED, "ended_at": time, "fraction": 1.0}
        case e.StageRetryScheduled() if stage.status is StageStatus.FAILING:
            return {"status": StageStatus.WAITING, "retry_at": event.at}
        case (
            e.StageStarted()
            | e.StageCheckpointed()
            | e.StageSampled()
            | e.StageCompleted()
            | e.StageFailed()
        ) if event.attempt == stage.attempt and stage.status.outstanding:
            return _attempt_changes(stage, event, time, attempts)
    return None


def _attempt_changes(
    stage: StageState, event: e.Event, time: Timestamp, attempts: int
) -> dict[str, Any] | None:
    match event:
        case e.StageStarted():
            return {
                "status": StageStatus.RUNNING,
                "runner": event.runner,
                "device": event.device,
                "started_at": time,
                "attempts": _last_changed(
                    stage,
                    {
                        "outcome": Outcome.RUNNING,
                        "runner": event.runner,
                        "device": event.device,
                        "resumed_from_step": event.resumed_from_step,
                        "started_at": time,
                    },
                ),
            }
        case e.StageSampled():
            sample = Sample(
                attempt=event.attempt,
                step=event.step,
                caption=event.caption,
                artifact=event.artifact,
                at=time,
            )
            return {"samples": (*stage.samples, sample)[-MOST_SAMPLES:]}
        case e.StageCheckpointed():
            return {
                "checkpoint": Checkpoint(step=event.step, artifact=event.artifact),
                "fraction": max(stage.fraction, event.fraction),
            }
        case e.StageCompleted():
            ended = {"outcome": Outcome.COMPLETED, "runner": event.runner, "ended_at": time}
            return _completion(event.outputs, event.metrics, time) | {
                "runner": event.runner,
                "attempts": _last_changed(stage, ended),
            }
        case e.StageFailed():
            failure = Failure(
                stage=stage.id,
                code=event.code,
                cause=event.cause,
                remedy=event.remedy,
                retryable=event.retryable,
            )
            tries_left = event.retryable and stage.attempt - stage.attempts_forgiven < attempts
            status = StageStatus.FAILING if tries_left else StageStatus.FAILED
            failed = {"outcome": Outcome.FAILED, "failure": failure, "ended_at": time}
            return {
                "status": status,
                "failure": failure,
                "ended_at": time,
                "attempts": _last_changed(stage, failed),
            }
    return None


def _attempt(event: e.StageScheduled, time: Timestamp) -> AttemptState:
    return AttemptState(
        attempt=event.attempt,
        engine=event.engine,
        engine_version=event.engine_version,
        params=event.params,
        scheduled_at=time,
    )


def _last_changed(stage: StageState, changes: dict[str, Any]) -> tuple[AttemptState, ...]:
    # A state that was stored before attempts were kept has none, and goes on without.
    return (*stage.attempts[:-1], *(a.model_copy(update=changes) for a in stage.attempts[-1:]))


def _completion(outputs: Artifacts, metrics: dict[str, Any], time: Timestamp) -> dict[str, Any]:
    return {
        "status": StageStatus.COMPLETED,
        "outputs": outputs,
        "metrics": metrics,
        "fraction": 1.0,
        "ended_at": time,
        "failure": None,
        "retry_at": None,
    }


def handled_by(graph: Graph, stage_id: str) -> bool:
    """Whether an `on_failure` edge leaves this stage, so that its failure is not the job's."""
    return any(
        source == stage_id and kind is EdgeKind.ON_FAILURE for source, _, kind in graph.all_edges()
    )
