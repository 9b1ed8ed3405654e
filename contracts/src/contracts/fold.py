"""What the log means: the state of a job as a fold of its events.

Every service that needs to know how a job stands folds it with `evolve`, so planner,
projector, gateway and command line cannot disagree. The fold is total: an event that
comes late, twice, or from an attempt that is no longer the current one changes nothing,
which is what makes zombies and redeliveries harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts import events as e
from contracts.base import Timestamp
from contracts.envelope import Recorded
from contracts.graph import EdgeKind, Graph
from contracts.job import Failure, JobState, JobStatus, StageState, StageStatus
from contracts.stagefold import Changes, changed, stage_changes, stopped

_RETRIABLE = (JobStatus.FAILED, JobStatus.CANCELLED)


def initial(job: str) -> JobState:
    """The state of a job of which nothing is known."""
    return JobState(job=job)


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """The state after one more event of the same job."""
    changes = _changes(state, recorded)
    if changes is None:
        return changed(state, {"sequence": max(recorded.sequence, state.sequence)})
    changes["sequence"], changes["updated_at"] = recorded.sequence, recorded.time
    return changed(state, changes)


def _changes(state: JobState, recorded: Recorded) -> Changes | None:
    """What the event changes in the job, or None for nothing."""
    event = recorded.event
    if state.request is None:
        return _requested(event, recorded) if isinstance(event, e.JobRequested) else None
    if state.deleted:
        return None
    if job_rule := _JOB_RULES.get(type(event)):
        return job_rule(state, event, recorded.time)
    stage = state.stages.get(getattr(event, "stage", ""))
    if stage is None or stage.status.ended or state.status.ended:
        return None
    changes = stage_changes(stage, recorded, state.graph)
    if changes is None:
        return None
    status = state.status if type(event) is e.StageScheduled else JobStatus.RUNNING
    return {"stages": {**state.stages, stage.id: changed(stage, changes)}, "status": status}


def _requested(event: e.JobRequested, recorded: Recorded) -> Changes:
    return {
        "request": event,
        "created_at": recorded.time,
        "traceparent": recorded.traceparent,
    }


def _consented(state: JobState, event: e.ConsentGiven, _: Timestamp) -> Changes | None:
    """What the job was asked for with; nothing that is said once it has begun adds to it."""
    begun = state.consent is not None or state.graph is not None or state.status.ended
    return None if begun else {"consent": event}


def _retry_requested(state: JobState, _: e.JobRetryRequested, __: Timestamp) -> Changes | None:
    """Back to the queue: what completed stays, everything else may be tried afresh."""
    if state.status not in _RETRIABLE:
        return None
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
    return {
        "status": JobStatus.QUEUED,
        "stages": stages,
        "cancel_requested": False,
        "failure": None,
        "ended_at": None,
    }


def _deleted(state: JobState, _: e.JobDeleted, __: Timestamp) -> Changes | None:
    return {"deleted": True} if state.status.ended else None


def _cancel_requested(state: JobState, _: e.JobCancelRequested, __: Timestamp) -> Changes | None:
    return None if state.status.ended else {"cancel_requested": True}


def _planned(state: JobState, event: e.JobPlanned, _: Timestamp) -> Changes | None:
    if state.status.ended or state.graph is not None:
        return None
    stages = {stage.id: StageState(id=stage.id, kind=stage.kind) for stage in event.graph.stages}
    return {"graph": event.graph, "stages": stages}


def _completed(state: JobState, _: e.JobCompleted, time: Timestamp) -> Changes | None:
    return _ended(state, time, JobStatus.COMPLETED)


def _cancelled(state: JobState, _: e.JobCancelled, time: Timestamp) -> Changes | None:
    return _ended(state, time, JobStatus.CANCELLED)


def _failed(state: JobState, event: e.JobFailed, time: Timestamp) -> Changes | None:
    failure = Failure(stage=event.stage, code=event.code, cause=event.cause, remedy=event.remedy)
    return _ended(state, time, JobStatus.FAILED, failure)


def _ended(
    state: JobState, time: Timestamp, status: JobStatus, failure: Failure | None = None
) -> Changes | None:
    if state.status.ended:
        return None
    return {
        "status": status,
        "stages": {stage.id: stopped(stage, time) for stage in state.stages.values()},
        "ended_at": time,
        "failure": failure,
    }


_JOB_RULES: dict[type[e.Event], Callable[[JobState, Any, Timestamp], Changes | None]] = {
    e.ConsentGiven: _consented,
    e.JobRetryRequested: _retry_requested,
    e.JobDeleted: _deleted,
    e.JobCancelRequested: _cancel_requested,
    e.JobPlanned: _planned,
    e.JobCompleted: _completed,
    e.JobCancelled: _cancelled,
    e.JobFailed: _failed,
}


def handled_by(graph: Graph, stage_id: str) -> bool:
    """Whether an `on_failure` edge leaves this stage, so that its failure is not the job's."""
    return any(
        source == stage_id and kind is EdgeKind.ON_FAILURE for source, _, kind in graph.all_edges()
    )
