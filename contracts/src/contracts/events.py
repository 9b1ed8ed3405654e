"""The events of the job log: what happened to a job, told by users, the planner and runners.

Events are facts and never change. A new shape is a new `version` with an upcaster, not
an edit. No event carries personal data: prompts, scripts, names and media are objects in
the store, and events hold references, sizes and hashes of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from contracts.artifacts import Artifact, Artifacts
from contracts.base import Contract, Id, Name, Sha256, Timestamp
from contracts.commands import Lane
from contracts.consent import Covers
from contracts.graph import Graph

Attempt = Annotated[int, Field(ge=1)]
Metrics = dict[str, Any]


class Teller(StrEnum):
    """Which part of the system tells an event. Broker permissions hold them to it."""

    USER = "gateway"
    PLANNER = "planner"
    RUNNER = "runner"


class Event(Contract):
    """The base of all events. `told_by` says which services may append it."""

    told_by: ClassVar[frozenset[Teller]] = frozenset()
    version: int

    @classmethod
    def type_name(cls) -> str:
        """The event's name in subjects, envelopes and documents."""
        return cls.__name__


class _FromUser(Event):
    told_by = frozenset({Teller.USER})


class _FromPlanner(Event):
    told_by = frozenset({Teller.PLANNER})


class _FromRunner(Event):
    told_by = frozenset({Teller.RUNNER})


class JobType(StrEnum):
    """What a job is for."""

    TRAIN = "train"
    GENERATE = "generate"
    PIPELINE = "pipeline"


class Quality(StrEnum):
    """How much time a job may take for how good a result."""

    DRAFT = "draft"
    STANDARD = "standard"
    BEST = "best"


class Fork(Contract):
    """Where a job branches off from an earlier one of the same owner."""

    job: Id
    stage: Name = Field(
        description="the first stage that is done anew; what does not follow from it is taken over"
    )


RUNNER_LOST = "runner-lost"
"""The code of the failure of an attempt that became a dead letter: every runner died of it."""

PROFILE_INPUTS = ("lora", "voice", "faces")
"""The inputs that a request takes from a profile. Nobody uploads under these names."""


class JobRequested(_FromUser):
    """Somebody asked for a job. Always the first event of its job."""

    version: Literal[1] = 1
    type: JobType
    owner: Id
    profile: Id | None = Field(default=None, description="the profile that is made or used")
    inputs: Artifacts = Field(default_factory=dict)
    quality: Quality = Quality.STANDARD
    engines: dict[Name, Name] = Field(default_factory=dict, description="engine by stage kind")
    params: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="parameters by stage kind"
    )
    graph: Graph | None = Field(default=None, description="for pipelines: the user's own graph")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    forked_from: Fork | None = None


class ConsentGiven(_FromUser):
    """The faces and voices that the job uses may be used. Enters the log with JobRequested.

    Who agreed to what is told by the statement, which is erased with the jobs that rest on it.
    """

    version: Literal[1] = 1
    covers: Covers
    statement: Artifact = Field(description="who agreed to what (`contracts.consent.Statement`)")
    given_at: Timestamp
    by: Id = Field(description="who recorded it")
    given_for: Id | None = Field(
        default=None, description="the job that it was given for, if this one takes it over"
    )


class JobCancelRequested(_FromUser):
    """Somebody wants the job stopped."""

    version: Literal[1] = 1
    by: Id


class JobRetryRequested(_FromUser):
    """Somebody wants a failed or cancelled job tried again from where it failed."""

    version: Literal[1] = 1
    by: Id


class JobDeleted(_FromUser):
    """Somebody wants an ended job gone: it is shown no more, and its objects are erased.

    The log keeps the job's events, which hold nothing personal.
    """

    version: Literal[1] = 1
    by: Id


class ProfileErased(_FromUser):
    """Somebody wants a person gone: the job is their training. What used them goes with it.

    It changes no job by itself: each is deleted by an event of its own.
    """

    version: Literal[1] = 1
    by: Id


class DeadLetterDropped(_FromUser):
    """Somebody has looked at an attempt that killed its runners, and lets it rest."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    by: Id


class JobPlanned(_FromPlanner):
    """The job has its graph."""

    version: Literal[1] = 1
    graph: Graph


class StageScheduled(_FromPlanner):
    """An attempt at a stage is due; its command is published when this event is read."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    kind: Name
    engine: Name
    engine_version: str
    lane: Lane
    params: dict[str, Any]
    inputs: Artifacts
    input_hash: Sha256
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    deadline: Timestamp | None = None


class StageReused(_FromPlanner):
    """An earlier stage had the same kind, engine, parameters and inputs: its outputs serve."""

    version: Literal[1] = 1
    stage: Name
    from_job: Id
    from_stage: Name
    input_hash: Sha256
    outputs: Artifacts
    metrics: Metrics


class StageRetryScheduled(_FromPlanner):
    """The stage failed in a way that may pass; it is tried again at the given time."""

    version: Literal[1] = 1
    stage: Name
    failed_attempt: Attempt
    at: Timestamp


class StageSkipped(_FromPlanner):
    """The stage will not run, because of how another one ended."""

    version: Literal[1] = 1
    stage: Name
    because_of: Name


class JobCompleted(_FromPlanner):
    """Every stage has ended well."""

    version: Literal[1] = 1


class JobFailed(_FromPlanner):
    """The job cannot be done as it was asked."""

    version: Literal[1] = 1
    stage: Name | None = Field(default=None, description="the stage that failed, if it was one")
    code: str
    cause: str
    remedy: str


class JobCancelled(_FromPlanner):
    """The job was stopped because somebody asked for it."""

    version: Literal[1] = 1


class StageStarted(_FromRunner):
    """A runner has begun an attempt. Told again when a redelivered command begins anew."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    runner: Id
    device: str
    delivery: Annotated[int, Field(ge=1)] = 1
    resumed_from_step: int | None = None


class StageCheckpointed(_FromRunner):
    """The attempt could go on from here, on any runner."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    step: Annotated[int, Field(ge=0)]
    fraction: Annotated[float, Field(ge=0, le=1)]
    artifact: Artifact


class StageSampled(_FromRunner):
    """An intermediate result to look at or listen to."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    step: Annotated[int, Field(ge=0)]
    caption: str
    artifact: Artifact


class StageCompleted(_FromRunner):
    """The attempt made its outputs."""

    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    runner: Id
    outputs: Artifacts
    metrics: Metrics
    duration_s: Annotated[float, Field(ge=0)]


class StageFailed(_FromRunner):
    """The attempt failed. Told by the runner, or by the planner for a runner that vanished."""

    told_by = frozenset({Teller.RUNNER, Teller.PLANNER})
    version: Literal[1] = 1
    stage: Name
    attempt: Attempt
    code: str
    cause: str
    remedy: str
    retryable: bool
    runner: Id | None = None


EVENTS: dict[str, type[Event]] = {
    event.type_name(): event
    for event in (
        JobRequested,
        ConsentGiven,
        JobCancelRequested,
        JobRetryRequested,
        JobDeleted,
        ProfileErased,
        DeadLetterDropped,
        JobPlanned,
        StageScheduled,
        StageReused,
        StageRetryScheduled,
        StageSkipped,
        JobCompleted,
        JobFailed,
        JobCancelled,
        StageStarted,
        StageCheckpointed,
        StageSampled,
        StageCompleted,
        StageFailed,
    )
}
"""Every event type by its name."""

BESIDE = (ProfileErased, DeadLetterDropped)
"""Events about something beside the job that they belong to: its state stays as it is."""
