"""Questions about jobs and what happened to them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from contracts.base import Contract, Id, Timestamp
from contracts.events import JobType
from contracts.job import Failure, JobStatus
from contracts.queries.base import Query


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
