"""What the log means: the state of a job as a fold of its events.

Every service that needs to know how a job stands folds it with `evolve`, so planner,
projector, gateway and command line cannot disagree. The fold is total: an event that
comes late, twice, or from an attempt that is no longer the current one changes nothing,
which is what makes zombies and redeliveries harmless.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts import events as e
from contracts.artifacts import Artifact, Artifacts
from contracts.base import Contract, Id, Name, Sha256, Timestamp
from contracts.envelope import Recorded
from contracts.graph import EdgeKind, Graph


class JobStatus(StrEnum):
    """How a job stands, in the words of the public API."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class StageStatus(StrEnum):
    """How a stage stands."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FAILING = "failing"
    """An attempt failed in a way that may pass, and its next one has no time yet."""
    WAITING = "waiting"
    """For the time of its next attempt."""
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether this stage has no further attempt."""
        return self in (StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.SKIPPED)

    @property
    def outstanding(self) -> bool:
        """Whether an attempt is in the queue or on a runner."""
        return self in (StageStatus.SCHEDULED, StageStatus.RUNNING)


class Failure(Contract):
    """Why something failed and what can be done about it."""

    stage: Name | None = None
    code: str
    cause: str
    remedy: str
    retryable: bool = False


class Checkpoint(Contract):
    """From where a stage can go on, on any runner."""

    step: int
    artifact: Artifact


class Sample(Contract):
    """An intermediate result that an attempt showed."""

    attempt: int
    step: int
    caption: str
    artifact: Artifact
    at: Timestamp


class Outcome(StrEnum):
    """How an attempt stands or ended."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    """Nobody wanted its result any more."""


class AttemptState(Contract):
    """One attempt at a stage, kept after later ones so that they can be compared."""

    attempt: int
    outcome: Outcome = Outcome.SCHEDULED
    engine: Name
    engine_version: str
    params: dict[str, Any]
    runner: Id | None = None
    device: str | None = None
    resumed_from_step: int | None = None
    scheduled_at: Timestamp
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    failure: Failure | None = None


class StageState(Contract):
    """A stage as the log tells it."""

    id: Name
    kind: Name
    status: StageStatus = StageStatus.PENDING
    attempt: int = 0
    attempts_forgiven: int = Field(
        default=0, description="attempts before a person asked for a retry"
    )
    command: e.StageScheduled | None = None
    input_hash: Sha256 | None = Field(
        default=None, description="of all that the outputs depend on, once that is decided"
    )
    runner: Id | None = None
    device: str | None = None
    fraction: float = Field(default=0.0, description="the highest that the log knows of")
    checkpoint: Checkpoint | None = None
    outputs: Artifacts = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    reused_from: Id | None = None
    samples: tuple[Sample, ...] = Field(
        default=(), description="the newest, at most `MOST_SAMPLES`"
    )
    attempts: tuple[AttemptState, ...] = ()
    failure: Failure | None = None
    retry_at: Timestamp | None = None
    scheduled_at: Timestamp | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None


class JobState(Contract):
    """A job as the log tells it, up to and including `sequence`."""

    job: Id
    status: JobStatus = JobStatus.QUEUED
    sequence: int = 0
    request: e.JobRequested | None = None
    graph: Graph | None = None
    stages: dict[Name, StageState] = Field(default_factory=dict)
    cancel_requested: bool = False
    deleted: bool = False
    failure: Failure | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    traceparent: str | None = Field(default=None, description="of the request that began it")

    @property
    def progress(self) -> float:
        """Progress that the log alone vouches for, 0..1."""
        if self.status is JobStatus.COMPLETED:
            return 1.0
        if self.graph is None:
            return 0.0
        return self.graph.progress(self.fractions())

    def fractions(self) -> dict[str, float]:
        """The fraction done of each stage, as far as the log knows."""
        return {stage.id: stage.fraction for stage in self.stages.values()}

    def wants(self, stage_id: str, attempt: int) -> bool:
        """Whether the work of this attempt is still wanted."""
        stage = self.stages.get(stage_id)
        return (
            not self.status.ended
            and stage is not None
            and stage.attempt == attempt
            and stage.status.outstanding
        )

    def results(self) -> Artifacts:
        """Every output of every completed stage, by output name; later stages win."""
        merged: Artifacts = {}
        for stage_id in self.graph.order() if self.graph else ():
            merged.update(self.stages[stage_id].outputs)
        return merged

    def bound_inputs(self, stage_id: str) -> Artifacts:
        """The artifacts bound to a stage's inputs, given that what it waits for has ended."""
        if self.graph is None or self.request is None:
            return {}
        bound: dict[str, tuple[Artifact, ...]] = {}
        for name, binding in self.graph.stage(stage_id).inputs.items():
            source = (
                self.request.inputs if binding.stage is None else self.stages[binding.stage].outputs
            )
            if artifacts := source.get(binding.output):
                bound[name] = artifacts
        return bound


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
