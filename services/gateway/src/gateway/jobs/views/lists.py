"""Jobs as lists show them."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.base import Contract, Id, Timestamp
from contracts.events import JobType, Quality
from contracts.job import Failure, JobStatus
from contracts.queries import JobSummary
from pydantic import Field

from gateway.jobs.views.jobs import artifact_views
from gateway.jobs.views.stages import ArtifactView
from gateway.live import LiveJob

_PICTURES = ("poster", "portrait", "preview", "faces")


class JobItem(Contract):
    """A job as lists show it."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float
    queue_position: int | None = Field(description="1 is next; null if nothing waits")
    name: str | None
    profile_id: Id | None
    quality: Quality | None = Field(description="null while it cannot be read")
    thumbnail_url: str | None = Field(description="a small picture of the result, or of a photo")
    video_url: str | None
    failure: Failure | None
    created_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None


class JobList(Contract):
    """One page of jobs, newest first."""

    jobs: tuple[JobItem, ...]
    next: Id | None = Field(description="give it as `before` to get the page after this one")


class Card(Contract):
    """What a list shows of a job beside its summary."""

    sequence: int
    name: str | None
    quality: Quality
    thumbnail_url: str | None
    video_url: str | None


def card_of(live: LiveJob, name: str | None) -> Card:
    """The card of a job as it stands."""
    artifacts = tuple(artifact_views(live))
    request = live.state.request
    video = _last(artifacts, "video", "video/")
    return Card(
        sequence=live.state.sequence,
        name=name,
        quality=request.quality if request else Quality.STANDARD,
        thumbnail_url=_thumbnail_url(live, artifacts),
        video_url=video.url if video else None,
    )


def _thumbnail_url(live: LiveJob, artifacts: Sequence[ArtifactView]) -> str | None:
    for output in _PICTURES:
        if picture := _last(artifacts, output, "image/"):
            return f"{picture.url}/thumbnail"
    request = live.state.request
    if request and request.inputs.get("photos"):
        return f"/api/jobs/{live.job}/inputs/photos/0/thumbnail"
    return None


def _last(artifacts: Sequence[ArtifactView], output: str, media: str) -> ArtifactView | None:
    """The first of the last stage's artifacts with this name and kind of media."""
    found = [one for one in artifacts if one.output == output and one.media_type.startswith(media)]
    last = found[-1].stage if found else None
    return next((one for one in found if one.stage == last), None)


def item_of(
    summary: JobSummary, live: LiveJob | None, card: Card | None, position: int | None
) -> JobItem:
    """The job in a list; what is happening now is taken from `live` if it is known."""
    status, progress = summary.status, summary.progress
    if live is not None and live.state.sequence >= summary.sequence:
        status, progress = live.state.status, live.progress
    return JobItem(
        job_id=summary.job,
        type=summary.type,
        status=status,
        progress=round(progress, 4),
        queue_position=None if status.ended else position,
        name=card.name if card else None,
        profile_id=summary.profile,
        quality=card.quality if card else None,
        thumbnail_url=card.thumbnail_url if card else None,
        video_url=card.video_url if card else None,
        failure=summary.failure,
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        ended_at=summary.ended_at,
    )
