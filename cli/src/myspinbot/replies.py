"""What the gateway answers, as far as commands look at it.

Unknown fields are ignored, so that a command works with a gateway that is newer than itself.
"""

from __future__ import annotations

from datetime import datetime

from contracts.job import JobStatus, StageStatus
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Reply(BaseModel):
    """The base of all replies: frozen, read from camelCase JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Failure(Reply):
    """Why a job or a stage failed, and what can be done about it."""

    cause: str
    remedy: str
    code: str = ""
    stage: str | None = None


class Status(Reply):
    """How a job stands, in short."""

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


class JobDetail(Reply):
    """A job with its results."""

    job_id: str
    type: str
    status: JobStatus
    progress: float
    name: str | None = None
    profile_id: str | None = None
    failure: Failure | None = None
    artifacts: tuple[ArtifactLink, ...] = ()


class JobItem(Reply):
    """A job as lists show it."""

    job_id: str
    type: str
    status: JobStatus
    progress: float
    created_at: datetime
    name: str | None = None
    failure: Failure | None = None
    ended_at: datetime | None = None


class JobList(Reply):
    """One page of jobs, newest first; `next` is where the page after it begins."""

    jobs: tuple[JobItem, ...]
    next: str | None = None


class Problem(Reply):
    """A problem document (RFC 9457) with the remedy that this gateway adds."""

    title: str = ""
    detail: str = ""
    remedy: str = ""
    type: str = "about:blank"
