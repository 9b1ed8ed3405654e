"""Usage: what stages took of which device, run by run, to be summed by owner and day.

A run is an attempt at a stage from one start on: an attempt that lost its runner and was
delivered to another one has two. A run that was cut off lasted until its last word, for nobody
knows more of it. Nothing is counted up here: each run is a row, whoever tells it how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from contracts.events import (
    StageCheckpointed,
    StageCompleted,
    StageFailed,
    StageSampled,
    StageStarted,
)
from contracts.job import Outcome, StageState
from contracts.queries import DailyUsage, ListDailyUsage, UsageDay
from sqlalchemy import Column, ColumnElement, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of
from projector.projections import jobs, objects
from projector.sql import utc_day

_Key = tuple[str, str]
_OF_AN_ATTEMPT = (StageCheckpointed, StageSampled, StageStarted, StageCompleted, StageFailed)


class Run(View, table=True):
    """One run. `until` is its end, or its last word so far; `outcome` is the attempt's."""

    __tablename__ = "usage_v1"

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    started_at: datetime = Field(sa_column=Column(UtcDateTime, primary_key=True))
    owner: str
    device: str
    outcome: str
    until: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))
    device_s: float


RUNS = table_of(Run)
_ENDED = [Outcome.COMPLETED.value, Outcome.FAILED.value, Outcome.STOPPED.value]


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    # Of the many words of a run only the last one counts.
    last: dict[tuple[object, ...], tuple[Change, StageState]] = {}
    for change in batch:
        for stage in _running(change):
            run = stage.attempts[-1]
            last[change.after.job, stage.id, run.attempt, run.started_at] = change, stage
    for change, stage in last.values():
        yield RUNS, _row(change, stage)


def _running(change: Change) -> Sequence[StageState]:
    """The stages with a run that this event is about, as they are after it."""
    before, after = change.before.stages, change.after.stages
    event = change.recorded.event
    names: Iterable[str]
    if isinstance(event, _OF_AN_ATTEMPT):
        names = (event.stage,) if event.stage in after else ()
    elif change.after.status.ended and not change.before.status.ended:
        names = after
    else:
        names = ()
    return [
        stage
        for name in names
        if (stage := after[name]) is not before.get(name)
        and stage.attempts
        and stage.attempts[-1].started_at
    ]


def _row(change: Change, stage: StageState) -> Row:
    run, event = stage.attempts[-1], change.recorded.event
    started = run.started_at or change.recorded.time
    until = run.ended_at or change.recorded.time
    # The runner's own measure, of a clock that nobody sets, is better than the log's times.
    took = event.duration_s if isinstance(event, StageCompleted) else None
    return {
        "job": change.after.job,
        "stage": stage.id,
        "attempt": run.attempt,
        "started_at": started,
        "owner": change.owner,
        "device": run.device or "",
        "outcome": run.outcome.value,
        "until": until,
        "device_s": took if took is not None else max((until - started).total_seconds(), 0.0),
    }


async def _daily(connection: AsyncConnection, query: ListDailyUsage) -> DailyUsage:
    run, thing = RUNS.c, objects.OBJECTS.c
    devices: dict[_Key, dict[str, float]] = {}
    attempts: dict[_Key, int] = {}
    ran = _by_day(query, run.owner, run.until, run.device)
    ended = func.count().filter(run.outcome.in_(_ENDED))
    for owner, day, device, seconds, count in await connection.execute(
        ran.add_columns(func.sum(run.device_s), ended)
    ):
        devices.setdefault((day, owner), {})[device] = seconds
        attempts[day, owner] = attempts.get((day, owner), 0) + count
    sizes = _by_day(query, thing.owner, thing.told_at).where(
        thing.role.in_([objects.Role.MADE, objects.Role.UNUSED])
    )
    made = await _sums(connection, sizes.add_columns(func.sum(thing.size)))
    job = jobs.JOBS.c
    asked = await _sums(
        connection, _by_day(query, job.owner, job.created_at).add_columns(func.count())
    )
    return DailyUsage(
        days=tuple(
            UsageDay(
                day=date.fromisoformat(key[0]),
                owner=key[1],
                jobs=asked.get(key, 0),
                attempts=attempts.get(key, 0),
                device_s=dict(sorted(devices.get(key, {}).items())),
                made_bytes=made.get(key, 0),
            )
            for key in sorted({*devices, *made, *asked})
        )
    )


def _by_day(
    query: ListDailyUsage,
    owner: ColumnElement[str],
    at: ColumnElement[datetime],
    *groups: ColumnElement[str],
) -> Select[Any]:
    """(owner, day, *groups) of what is asked for, to be summed."""
    day = utc_day(at)
    begin = datetime.combine(query.since, time.min, UTC)
    # The day after the last possible one cannot be told.
    last = query.until < date.max
    end = datetime.combine(query.until + timedelta(days=1), time.min, UTC) if last else None
    columns: list[ColumnElement[Any]] = [owner, day, *groups]
    chosen: Select[Any] = select(*columns).where(at >= begin).group_by(*columns)
    if end is not None:
        chosen = chosen.where(at < end)
    # Nobody's are events of jobs that were never requested.
    return chosen.where(owner != "" if query.everyone else owner == query.owner)


async def _sums(connection: AsyncConnection, query: Select[Any]) -> dict[_Key, int]:
    return {(day, owner): int(total) for owner, day, total in await connection.execute(query)}


PROJECTION = Projection("usage", 1, (RUNS,), _rows, {ListDailyUsage: _daily})
