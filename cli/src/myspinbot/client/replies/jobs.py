"""Jobs: how they stand, what they were asked, what they made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from contracts.job import JobStatus, StageStatus
from pydantic import Field

from myspinbot.client.replies.base import Failure, Reply


class Status(Reply):
    """How a job stands, in short. `progress` is within 0..1 and never goes back."""

    job_id: str
    type: str
    status: JobStatus
    progress: float


class StageUpdate(Reply):
    """How a stage stands. `eta_s` is in seconds."""

    id: str
    kind: str
    status: StageStatus
    attempt: int = 0
    progress: float = 0.0
    eta_s: float | None = None
    message: str | None = None


class JobUpdate(Reply):
    """How a job stands, with its stages in the order of their work."""

    job_id: str
    status: JobStatus
    progress: float
    eta_s: float | None = None
    failure: Failure | None = None
    stages: tuple[StageUpdate, ...] = ()


class ArtifactLink(Reply):
    """A result and where to download it; `size` in bytes, `url` relative to the gateway."""

    stage: str
    output: str
    index: int
    media_type: str
    size: int
    sha256: str
    url: str


class InputLink(Reply):
    """A photo or clip that a job was given; `size` in bytes, `url` relative to the gateway."""

    input: str
    index: int
    name: str | None = None
    media_type: str
    size: int
    sha256: str
    url: str


class SampleLink(Reply):
    """A picture or sound that an attempt showed at a step."""

    attempt: int
    step: int
    caption: str = ""
    at: datetime
    media_type: str
    url: str


class Attempt(Reply):
    """One attempt at a stage."""

    attempt: int
    outcome: str
    engine: str
    engine_version: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    runner: str | None = None
    device: str | None = None
    resumed_from_step: int | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: Failure | None = None


class StageDetail(StageUpdate):
    """A stage with all that is known of it."""

    after: tuple[str, ...] = ()
    engine: str | None = None
    params: dict[str, Any] | None = None
    runner: str | None = None
    device: str | None = None
    queue_position: int | None = None
    reused_from: str | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    failure: Failure | None = None
    retry_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    samples: tuple[SampleLink, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class Fork(Reply):
    """The job that another one was forked from, and at which stage they part."""

    job_id: str
    stage: str


class Consent(Reply):
    """Who has agreed to the use of a face or a voice; what they said is None once it is erased."""

    who: str | None = None
    basis: str | None = None
    purpose: str | None = None
    covers: tuple[str, ...] = ()
    given_at: datetime
    given_for: str | None = None


class JobDetail(Reply):
    """A job with its stages, inputs and results. `sequence` is its position in the log."""

    job_id: str
    type: str
    status: JobStatus
    progress: float
    eta_s: float | None = None
    name: str | None = None
    profile_id: str | None = None
    consent: Consent | None = None
    quality: str | None = None
    script: str | None = None
    topic: str | None = None
    prompt: str | None = None
    seed: int | None = None
    engines: dict[str, str] = Field(default_factory=dict)
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    forked_from: Fork | None = None
    queue_position: int | None = None
    trace_url: str | None = None
    failure: Failure | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    sequence: int | None = None
    inputs: tuple[InputLink, ...] = ()
    stages: tuple[StageDetail, ...] = ()
    artifacts: tuple[ArtifactLink, ...] = ()


class JobItem(Reply):
    """A job as lists show it."""

    job_id: str
    type: str
    status: JobStatus
    progress: float
    created_at: datetime
    name: str | None = None
    profile_id: str | None = None
    quality: str | None = None
    queue_position: int | None = None
    failure: Failure | None = None
    ended_at: datetime | None = None
    thumbnail_url: str | None = None
    video_url: str | None = None


class JobList(Reply):
    """One page of jobs, newest first; `next` is where the page after it begins."""

    jobs: tuple[JobItem, ...]
    next: str | None = None


class TimelineEvent(Reply):
    """One event of a job's log. `sequence` is its position, `data` its body."""

    sequence: int
    id: str
    type: str
    time: datetime
    source: str = ""
    stage: str | None = None
    attempt: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Timeline(Reply):
    """One page of a job's events, oldest first."""

    job_id: str
    events: tuple[TimelineEvent, ...]
    next: int | None = None


class LogLine(Reply):
    """What an attempt said; `values` are measurements at a step, such as `loss` and `lr`."""

    id: int | str
    stage: str
    attempt: int
    at: datetime
    level: str = "info"
    message: str = ""
    step: int | None = None
    values: dict[str, float] = Field(default_factory=dict)


class LogPage(Reply):
    """One page of a job's log lines, oldest first."""

    lines: tuple[LogLine, ...]
    next: int | str | None = None
