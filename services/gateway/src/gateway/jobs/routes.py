"""Jobs over HTTP: listed and looked at."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from contracts.base import Id
from contracts.events import JobType
from contracts.job import JobStatus
from contracts.queries import JobPage, ListJobs
from eventlog.log import utc_now
from eventlog.rpc import NotFoundError, ask
from fastapi import APIRouter, Query

from gateway import openapi
from gateway.context import Gateway, Owner, TheGateway
from gateway.jobs.views import JobItem, JobList, JobView, StatusView, item_of, job_of, status_of
from gateway.live import LiveJob
from gateway.live.history import as_it_was
from gateway.problems import Problem, ProblemKind
from gateway.times import Time

router = APIRouter(prefix="/api", tags=["jobs"])

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@router.get("/jobs")
async def list_jobs(
    gateway: TheGateway,
    owner: Owner,
    *,
    status: Annotated[
        tuple[JobStatus, ...], Query(description="one of these; give it several times for several")
    ] = (),
    job_type: Annotated[JobType | None, Query(alias="type")] = None,
    profile: Id | None = None,
    created_after: Annotated[
        Time | None, Query(alias="createdAfter", description="at this time or later")
    ] = None,
    created_before: Annotated[
        Time | None, Query(alias="createdBefore", description="earlier than this time")
    ] = None,
    before: Annotated[Id | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobList:
    """Jobs, newest first."""
    query = ListJobs(
        owner=owner,
        statuses=status,
        type=job_type,
        profile=profile,
        created_after=created_after,
        created_before=created_before,
        before=before,
        limit=limit,
        min_position=gateway.live.position,
    )
    try:
        page, _ = await ask(gateway.broker, query, JobPage)
    except NotFoundError:
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            "`before` names no job.",
            "Take it from `next` of an earlier page, or leave it out.",
        ) from None
    return JobList(jobs=await items(gateway, page, owner), next=page.next_before)


async def items(gateway: Gateway, page: JobPage, owner: str) -> tuple[JobItem, ...]:
    """A page of an owner's jobs as lists show them."""
    cards = await gateway.cards.of(page.jobs, owner)
    return tuple(
        item_of(
            summary,
            gateway.live.peek(summary.job),
            card,
            min(gateway.live.positions(summary.job).values(), default=None),
        )
        for summary, card in zip(page.jobs, cards, strict=True)
    )


@router.get("/jobs/{job}")
async def get_job(
    job: str,
    gateway: TheGateway,
    owner: Owner,
    at: Annotated[
        int | None, Query(ge=1, lt=2**63, description="the job right after this event of the log")
    ] = None,
) -> JobView:
    """A job with its stages, their progress, measures, failures and results."""
    live = await find(gateway, job, owner)
    if at is None:
        return await view(gateway, live, utc_now())
    past = await as_it_was(gateway.log, live, at)
    return await view(gateway, past, past.state.updated_at or utc_now())


async def view(gateway: Gateway, live: LiveJob, now: datetime) -> JobView:
    """The job in full."""
    return job_of(
        live,
        await gateway.texts.of(live),
        now,
        positions=live.positions,
        trace_url=gateway.settings.trace_url,
    )


@router.get("/status/{job}", responses=openapi.STATUS_RESPONSES)
async def get_status(job: str, gateway: TheGateway, owner: Owner) -> StatusView:
    """How a job stands, in short."""
    try:
        return status_of(await find(gateway, job, owner))
    except Problem as problem:
        if problem.kind is ProblemKind.NO_SUCH_JOB:
            # Clients of this route look for the word.
            problem.members |= {"status": "not_found", "jobId": job}
        raise


def is_job_id(text: str) -> bool:
    """Whether this could be the id of a job."""
    return _ID.fullmatch(text) is not None


async def find(gateway: Gateway, job: str, owner: str) -> LiveJob:
    """The owner's job; Problem if there is none."""
    try:
        if is_job_id(job):
            return await gateway.live.find(job, owner)
    except NotFoundError:
        pass
    raise no_such_job()


def no_such_job() -> Problem:
    """The problem of a job that is not there, or not the owner's."""
    return Problem(
        ProblemKind.NO_SUCH_JOB,
        "No job of yours has this id.",
        "GET /api/jobs lists your jobs.",
    )
