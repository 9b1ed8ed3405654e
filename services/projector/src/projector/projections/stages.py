"""Stages: one row for each stage of each job: what waits, what runs, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from contracts.commands import Lane
from contracts.events import JobRequested, Quality
from contracts.job import JobState, StageState, StageStatus
from contracts.queries import (
    GetStats,
    ListQueue,
    Queue,
    QueuedAttempt,
    StageTimes,
    Stats,
)
from sqlalchemy import Column, Table, Text, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change, latest
from projector.projection import Projection, View, table_of
from projector.projections import jobs

STATS_OF = 100
"""How many of the newest stages of a kind its times are taken from."""


class Stage(View, table=True):
    """One stage as it stands. `metrics` and `failure` are JSON.

    `duration_s` is there once the stage was done from beginning to end, in seconds: neither
    reused nor resumed, so that it tells how long such work takes.
    """

    __tablename__ = "stages_v2"

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    owner: str
    kind: str
    status: str
    attempt: int
    engine: str | None
    engine_version: str | None
    lane: str | None
    quality: str
    input_hash: str | None = Field(index=True)
    reused_from: str | None
    runner: str | None
    device: str | None
    fraction: float
    metrics: str = Field(sa_column=Column(Text, nullable=False))
    failure: str | None = Field(sa_column=Column(Text))
    duration_s: float | None
    scheduled_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    started_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))


STAGES = table_of(Stage)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    before: dict[str, JobState] = {}
    for change in batch:
        before.setdefault(change.after.job, change.before)
    for request, state in latest(batch):
        former = before[state.job].stages
        for stage in state.stages.values():
            # What an event changes is a new object, and never again the one that it was.
            if former.get(stage.id) is not stage:
                yield STAGES, _row(state.job, request, stage)


def _row(job: str, request: JobRequested, stage: StageState) -> Row:
    command = stage.command
    return {
        "job": job,
        "stage": stage.id,
        "owner": request.owner,
        "kind": stage.kind,
        "status": stage.status.value,
        "attempt": stage.attempt,
        "engine": command.engine if command else None,
        "engine_version": command.engine_version if command else None,
        "lane": command.lane.value if command else None,
        "quality": request.quality.value,
        "input_hash": stage.input_hash,
        "reused_from": stage.reused_from,
        "runner": stage.runner,
        "device": stage.device,
        "fraction": stage.fraction,
        "metrics": json.dumps(stage.metrics, sort_keys=True),
        "failure": stage.failure.to_json().decode() if stage.failure else None,
        "duration_s": _duration_s(stage),
        "scheduled_at": stage.scheduled_at,
        "started_at": stage.started_at,
        "ended_at": stage.ended_at,
    }


def _duration_s(stage: StageState) -> float | None:
    whole = (
        stage.status is StageStatus.COMPLETED
        and stage.reused_from is None
        and all(attempt.resumed_from_step is None for attempt in stage.attempts[-1:])
    )
    if not whole or stage.started_at is None or stage.ended_at is None:
        return None
    return (stage.ended_at - stage.started_at).total_seconds()


async def _stats(connection: AsyncConnection, query: GetStats) -> Stats:
    stage, job = STAGES.c, jobs.JOBS.c
    group = (stage.kind, stage.engine, stage.quality)
    recency = func.row_number().over(partition_by=group, order_by=stage.ended_at.desc())
    timed = (
        select(*group, stage.duration_s, recency.label("recency"))
        .join(jobs.JOBS, job.job == stage.job)
        .where(stage.duration_s.is_not(None), ~job.deleted)
        .subquery()
    )
    newest = select(timed).where(timed.c.recency <= STATS_OF)
    durations: dict[tuple[str, str, str], list[float]] = {}
    for row in await connection.execute(newest):
        durations.setdefault((row.kind, row.engine, row.quality), []).append(row.duration_s)
    return Stats(
        jobs=await jobs.count_by_status(connection, query.owner),
        stages=tuple(
            StageTimes(
                kind=kind,
                engine=engine,
                quality=Quality(quality),
                count=len(known),
                median_s=median(known),
                longest_s=max(known),
            )
            for (kind, engine, quality), known in sorted(durations.items())
        ),
    )


async def _queue(connection: AsyncConnection, _query: ListQueue) -> Queue:
    stage, outstanding = STAGES.c, [status.value for status in StageStatus if status.outstanding]
    # A job that ended leaves its stages as they stood.
    waiting = (
        select(STAGES)
        .join(jobs.JOBS, jobs.JOBS.c.job == stage.job)
        .where(jobs.not_ended(), stage.status.in_(outstanding))
        .order_by(stage.scheduled_at, stage.job, stage.stage)
    )
    return Queue(
        attempts=tuple(
            QueuedAttempt(
                job=row.job,
                stage=row.stage,
                attempt=row.attempt,
                kind=row.kind,
                lane=Lane(row.lane),
                running=row.status == StageStatus.RUNNING.value,
                scheduled_at=row.scheduled_at,
            )
            for row in await connection.execute(waiting)
        )
    )


PROJECTION = Projection("stages", 2, (STAGES,), _rows, {GetStats: _stats, ListQueue: _queue})
