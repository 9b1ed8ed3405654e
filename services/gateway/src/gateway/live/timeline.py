"""The history of a job: its events, page by page."""

from __future__ import annotations

from typing import Annotated

from contracts.base import Contract, Id
from fastapi import APIRouter, Query
from pydantic import Field

from gateway.context import Owner, TheGateway
from gateway.jobs.routes import find
from gateway.live.told import TimelineEvent, event_of

router = APIRouter(prefix="/api", tags=["jobs"])

_LONGEST = 2**63


class TimelineView(Contract):
    """Some events of a job, in order."""

    job_id: Id
    events: tuple[TimelineEvent, ...]
    next: int | None = Field(description="give it as `after` to go on; null at the end")


@router.get("/jobs/{job}/timeline")
async def get_timeline(
    job: str,
    gateway: TheGateway,
    owner: Owner,
    after: Annotated[int, Query(ge=0, lt=_LONGEST, description="a sequence")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> TimelineView:
    """Everything that happened to a job, as it stands in the log."""
    await find(gateway, job, owner)
    events, more = await gateway.log.read_page(job, after, limit)
    return TimelineView(
        job_id=job,
        events=tuple(event_of(recorded) for recorded in events),
        next=events[-1].sequence if events and more else None,
    )
