"""Jobs: the folded state of each, with columns to filter and sort by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from contracts.events import JobRequested, JobType
from contracts.job import Failure, JobState, JobStatus
from contracts.queries import GetJob, JobPage, JobSummary, ListJobs
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change, latest
from projector.projection import METADATA, Projection, View, table_of

_OPEN = "ended_at IS NULL"


class Job(View, table=True):
    """One job. `state` is its JobState as JSON."""

    __tablename__ = "jobs_v2"
    __table_args__ = (
        Index("jobs_v2_newest", "owner", "created_at", "job"),
        # Those that have not ended are few, however many there were.
        Index("jobs_v2_open", "job", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
    )

    job: str = Field(primary_key=True)
    owner: str
    type: str
    status: str
    progress: float
    profile: str | None
    deleted: bool
    failure: str | None = Field(sa_column=Column(Text))
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    updated_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))


JOBS = table_of(Job)
_SUMMARY = [column for column in JOBS.columns if column.name not in ("owner", "state", "deleted")]


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for request, state in latest(batch):
        yield JOBS, _row(request, state)


def _row(request: JobRequested, state: JobState) -> Row:
    return {
        "job": state.job,
        "owner": request.owner,
        "type": request.type.value,
        "status": state.status.value,
        "progress": state.progress,
        "profile": request.profile,
        "deleted": state.deleted,
        "failure": state.failure.to_json().decode() if state.failure else None,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "ended_at": state.ended_at,
        "sequence": state.sequence,
        "state": state.to_json().decode(),
    }


async def states(
    connection: AsyncConnection, table: Table, jobs: Sequence[str]
) -> dict[str, JobState]:
    """The folded states of those of the given jobs that a table of jobs knows."""
    found = await connection.execute(
        select(table.c.job, table.c.state).where(table.c.job.in_(jobs))
    )
    return {row.job: JobState.model_validate_json(row.state) for row in found}


def shown(owner: str) -> tuple[ColumnElement[bool], ...]:
    """The conditions for a job of an owner's that is not deleted.

    What other views keep of jobs is joined to JOBS under these, and not shown otherwise.
    """
    return JOBS.c.owner == owner, ~JOBS.c.deleted


async def videos(
    connection: AsyncConnection, owner: str, profiles: Sequence[str]
) -> dict[str, int]:
    """How many videos were made with each of an owner's profiles; those with none are left out."""
    job = JOBS.c
    counted = (
        select(job.profile, func.count().label("videos"))
        .where(
            *shown(owner),
            job.profile.in_(profiles),
            job.type == JobType.GENERATE.value,
            job.status == JobStatus.COMPLETED.value,
        )
        .group_by(job.profile)
    )
    return {row.profile: row.videos for row in await connection.execute(counted)}


def not_ended() -> ColumnElement[bool]:
    """Whether a job waits or runs."""
    return JOBS.c.ended_at.is_(None)


async def was_deleted(connection: AsyncConnection, job: str, owner: str) -> bool:
    """Whether this is a job of the owner's that was deleted."""
    mine = (JOBS.c.job == job, JOBS.c.owner == owner, JOBS.c.deleted)
    return (await connection.execute(select(JOBS.c.job).where(*mine))).first() is not None


async def count_by_status(connection: AsyncConnection, owner: str) -> dict[JobStatus, int]:
    """How many jobs of an owner's there are of each status that any has."""
    counted = select(JOBS.c.status, func.count()).where(*shown(owner)).group_by(JOBS.c.status)
    return {JobStatus(status): count for status, count in await connection.execute(counted)}


async def _get(connection: AsyncConnection, query: GetJob) -> Mapping[str, Any] | None:
    mine = select(JOBS.c.state).where(JOBS.c.job == query.job, *shown(query.owner))
    state = (await connection.execute(mine)).scalar()
    return json.loads(state) if state is not None else None


async def _list(connection: AsyncConnection, query: ListJobs) -> JobPage | None:
    job = JOBS.c
    page = select(*_SUMMARY).where(*shown(query.owner))
    if query.statuses:
        page = page.where(job.status.in_([status.value for status in query.statuses]))
    if query.type is not None:
        page = page.where(job.type == query.type.value)
    if query.profile is not None:
        page = page.where(job.profile == query.profile)
    if query.created_after is not None:
        page = page.where(job.created_at >= query.created_after)
    if query.created_before is not None:
        page = page.where(job.created_at < query.created_before)
    if query.before is not None:
        before = select(job.created_at).where(job.job == query.before, *shown(query.owner))
        created = (await connection.execute(before)).scalar()
        if created is None:
            return None
        same_time = and_(job.created_at == created, job.job < query.before)
        page = page.where(or_(job.created_at < created, same_time))
    page = page.order_by(job.created_at.desc(), job.job.desc()).limit(query.limit + 1)
    found = [_summary(row) for row in (await connection.execute(page)).mappings()]
    jobs = tuple(found[: query.limit])
    return JobPage(jobs=jobs, next_before=jobs[-1].job if len(found) > query.limit else None)


def _summary(row: Mapping[Any, Any]) -> JobSummary:
    failure = Failure.model_validate_json(row["failure"]) if row["failure"] else None
    return JobSummary.model_validate({**row, "failure": failure})


PROJECTION = Projection("jobs", 2, (JOBS,), _rows, {GetJob: _get, ListJobs: _list})

_SCRATCH = Table(
    "jobs_scratch_v2",
    METADATA,
    Column("job", Text, primary_key=True),
    Column("state", Text, nullable=False),
)


def _scratch_rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for _, state in latest(batch):
        yield _SCRATCH, {"job": state.job, "state": state.to_json().decode()}


SCRATCH = Projection("jobs_scratch", 2, (_SCRATCH,), _scratch_rows)
"""The states of jobs as of an earlier position, for projections that catch up from there."""
