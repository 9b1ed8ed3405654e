"""The state of a job and its stages, as `contracts.fold` makes it from the log."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts import events as e
from contracts.artifacts import Artifact, Artifacts
from contracts.base import Contract, Id, Name, Sha256, Timestamp
from contracts.graph import Graph


class JobStatus(StrEnum):
    """How a job stands, in the words of the public API."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __init__(self, word: str) -> None:
        # Asked for every event of a fold, so it is known beforehand.
        self.ended = word in ("completed", "failed", "cancelled")
        """Whether nothing more happens unless somebody asks for it."""


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

    def __init__(self, word: str) -> None:
        self.ended = word in ("completed", "failed", "skipped")
        """Whether this stage has no further attempt."""
        self.outstanding = word in ("scheduled", "running")
        """Whether an attempt is in the queue or on a runner."""


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
    consent: e.ConsentGiven | None = None
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

    def knows(self, stage_id: str, attempt: int) -> bool:
        """Whether what was read of the log reaches to this attempt.

        In a cluster a replica that lags behind may have answered with less.
        """
        stage = self.stages.get(stage_id)
        return stage is not None and stage.attempt >= attempt

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
