"""Questions that the projector answers over NATS request/reply, and their answers.

A client that has just written asks with `min_position`, the log sequence that its write
got, and is answered only from a view that has seen it. Every question carries the owner
on whose behalf it is asked; what belongs to another owner is not found.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from contracts.artifacts import Artifact, Artifacts
from contracts.base import Contract, Id, Name, Sha256, Timestamp
from contracts.commands import Lane
from contracts.events import JobType, Quality
from contracts.job import Failure, JobState, JobStatus


class Query(Contract):
    """The base of all questions. `subject` is the query's name after `query.`."""

    subject: ClassVar[str]
    owner: Id
    min_position: Annotated[int, Field(ge=0)] = 0


class GetJob(Query):
    """One job with all its stages. Answered by `JobState`."""

    subject = "jobs.get"
    job: Id


class ListJobs(Query):
    """Jobs, newest first. Answered by `JobPage`."""

    subject = "jobs.list"
    statuses: tuple[JobStatus, ...] = Field(default=(), description="one of these; all if empty")
    type: JobType | None = None
    profile: Id | None = None
    created_after: Timestamp | None = Field(default=None, description="at this time or later")
    created_before: Timestamp | None = Field(default=None, description="earlier than this time")
    before: Id | None = Field(default=None, description="only jobs older than this one")
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class GetTimeline(Query):
    """The events of a job in order. Answered by `Timeline`."""

    subject = "timeline.get"
    job: Id
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class GetArtifact(Query):
    """Where an artifact of the owner's is. Answered by `ArtifactEntry`."""

    subject = "artifacts.get"
    job: Id
    stage: Name
    output: Name
    index: Annotated[int, Field(ge=0)] = 0


class GetProfile(Query):
    """A profile and what was made for it. Answered by `Profile`."""

    subject = "profiles.get"
    profile: Id


class ListProfiles(Query):
    """Profiles, newest first. Answered by `ProfilePage`."""

    subject = "profiles.list"
    before: Id | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ListErasable(Query):
    """The objects of a deleted job that nothing else of the owner's needs.

    What a job uploaded or made is needed by another job that is not deleted if it uploaded it,
    made it or took it over; what comes from a profile is only borrowed. Answered by `ObjectKeys`.
    """

    subject = "objects.erasable"
    job: Id


class FindObject(Query):
    """An object of the owner's with this content, uploaded or made. Answered by `Artifact`."""

    subject = "objects.find"
    sha256: Sha256


class GetUsage(Query):
    """What the owner's jobs take up. Answered by `Usage`."""

    subject = "usage.get"


class GetStats(Query):
    """How many jobs the owner has, and how long stages of everybody's took. Answered by `Stats`."""

    subject = "stats.get"


class ListQueue(Query):
    """Every attempt that waits or runs, whoever owns it, oldest first. Answered by `Queue`.

    For the gateway itself, which tells owners only how many are before theirs.
    """

    subject = "queue.list"


class JobSummary(Contract):
    """A job as lists show it."""

    job: Id
    type: JobType
    status: JobStatus
    progress: float
    profile: Id | None = None
    failure: Failure | None = None
    created_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None = None
    sequence: int


class JobPage(Contract):
    """Some jobs, and from where to go on."""

    jobs: tuple[JobSummary, ...]
    next_before: Id | None = None


class TimelineEntry(Contract):
    """One event as the timeline keeps it: the envelope's essentials and the body."""

    sequence: int
    id: str
    type: str
    time: Timestamp
    source: str
    data: dict[str, Any]


class Timeline(Contract):
    """Events of one job."""

    job: Id
    events: tuple[TimelineEntry, ...]


class ArtifactEntry(Contract):
    """An artifact with the stage that made it."""

    job: Id
    stage: Name
    output: Name
    index: int
    artifact: Artifact


class Profile(Contract):
    """What a training made, ready to generate with."""

    profile: Id
    created_by: Id = Field(description="the job that trained it")
    artifacts: Artifacts = Field(description="lora, voice and faces, as far as they exist")
    videos: int = Field(default=0, description="completed jobs that made one with it")
    created_at: Timestamp
    updated_at: Timestamp


class ProfilePage(Contract):
    """Some profiles, and from where to go on."""

    profiles: tuple[Profile, ...]
    next_before: Id | None = None


class ObjectKeys(Contract):
    """Objects of a deleted job: those that may be erased, and those that others need."""

    keys: tuple[str, ...]
    kept: tuple[str, ...] = ()


class Usage(Contract):
    """What an owner's jobs that are not deleted take up, each object counted once."""

    jobs: int
    objects: int
    stored_bytes: int


class StageTimes(Contract):
    """How long the completed stages of one kind took, with one engine at one quality."""

    kind: Name
    engine: Name
    quality: Quality
    count: int
    median_s: float
    longest_s: float


class Stats(Contract):
    """Counts of the owner's jobs, and times of stages, the newest hundred of each kind."""

    jobs: dict[JobStatus, int]
    stages: tuple[StageTimes, ...]


class QueuedAttempt(Contract):
    """An attempt that waits for a runner, or runs."""

    job: Id
    stage: Name
    attempt: int
    kind: Name
    lane: Lane
    running: bool
    scheduled_at: Timestamp


class Queue(Contract):
    """Attempts in the order in which they were scheduled."""

    attempts: tuple[QueuedAttempt, ...]


class QueryError(Contract):
    """Why a question has no answer."""

    code: Literal["not_found", "behind", "invalid", "internal"]
    detail: str


class Answer(Contract):
    """The reply to any question: a result or an error, and how far the view has read."""

    position: int
    result: dict[str, Any] | None = None
    error: QueryError | None = None


QUERIES: dict[str, type[Query]] = {
    query.subject: query
    for query in (
        GetJob,
        ListJobs,
        GetTimeline,
        GetArtifact,
        GetProfile,
        ListProfiles,
        ListErasable,
        FindObject,
        GetUsage,
        GetStats,
        ListQueue,
    )
}
"""Every question by its subject."""

RESULTS: dict[str, type[Contract]] = {
    GetJob.subject: JobState,
    ListJobs.subject: JobPage,
    GetTimeline.subject: Timeline,
    GetArtifact.subject: ArtifactEntry,
    GetProfile.subject: Profile,
    ListProfiles.subject: ProfilePage,
    ListErasable.subject: ObjectKeys,
    FindObject.subject: Artifact,
    GetUsage.subject: Usage,
    GetStats.subject: Stats,
    ListQueue.subject: Queue,
}
"""The model of the result of each question."""
