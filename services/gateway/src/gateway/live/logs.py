"""What the stages of a job wrote while they ran: lines to read, and values to draw."""

from __future__ import annotations

from typing import Annotated

from contracts.base import Contract, Name
from eventlog.stagelogs import StageLogs
from fastapi import APIRouter, Query
from pydantic import Field

from gateway.context import Owner, TheGateway
from gateway.jobs.routes import find
from gateway.live.told import LogLine, line_of

router = APIRouter(prefix="/api", tags=["jobs"])


class LogPage(Contract):
    """Some lines, in the order in which they were written."""

    lines: tuple[LogLine, ...]
    next: int | None = Field(description="give it as `after` to go on; null at the end")


@router.get("/jobs/{job}/logs")
async def get_logs(
    job: str,
    gateway: TheGateway,
    owner: Owner,
    *,
    stage: Annotated[Name | None, Query(description="only lines of this stage")] = None,
    attempt: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    after: Annotated[int, Query(ge=0, lt=2**63, description="the id of a line")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> LogPage:
    """Lines of a job's stages. They are kept for 30 days, and the newest 5,000 of each attempt."""
    await find(gateway, job, owner)
    stored = [
        line
        async for line in StageLogs(gateway.broker).read(
            job, stage or "*", attempt, after, limit + 1
        )
    ]
    page = stored[:limit]
    return LogPage(
        lines=tuple(line_of(line) for line in page),
        next=page[-1].sequence if len(stored) > limit else None,
    )
