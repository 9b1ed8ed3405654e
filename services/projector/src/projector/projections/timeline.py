"""The timeline: every event of every job, to be read without the broker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from contracts.queries import GetTimeline, Timeline, TimelineEntry
from sqlalchemy import BigInteger, Column, Index, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of
from projector.projections import jobs

MAX_REPLY_CHARACTERS = 500_000
"""Of event bodies in one answer, so that it stays well below what one NATS message may hold."""


class Entry(View, table=True):
    """One event. `data` is its body, JSON as in the log."""

    __tablename__ = "timeline_v1"
    __table_args__ = (Index("timeline_v1_job", "job", "sequence"),)

    sequence: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False),
    )
    job: str
    owner: str
    id: str
    type: str
    time: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    source: str
    data: str = Field(sa_column=Column(Text, nullable=False))


TIMELINE = table_of(Entry)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        recorded = change.recorded
        yield (
            TIMELINE,
            {
                "sequence": recorded.sequence,
                "job": recorded.job,
                "owner": change.owner,
                "id": recorded.id,
                "type": recorded.type,
                "time": recorded.time,
                "source": recorded.source,
                "data": recorded.event.to_json().decode(),
            },
        )


async def _get(connection: AsyncConnection, query: GetTimeline) -> Timeline | None:
    """At least one event if there is one after `query.after`: ask on until none comes."""
    entry = TIMELINE.c
    mine = select(jobs.JOBS.c.job).where(jobs.JOBS.c.job == query.job, *jobs.shown(query.owner))
    if (await connection.execute(mine)).first() is None:
        return None
    events = (
        select(TIMELINE)
        .where(entry.job == query.job, entry.sequence > query.after)
        .order_by(entry.sequence)
        .limit(query.limit)
    )
    found = (await connection.execute(events)).all()
    entries: list[TimelineEntry] = []
    characters = 0
    for row in found:
        characters += len(row.data)
        if entries and characters > MAX_REPLY_CHARACTERS:
            break
        entries.append(
            TimelineEntry(
                sequence=row.sequence,
                id=row.id,
                type=row.type,
                time=row.time,
                source=row.source,
                data=json.loads(row.data),
            )
        )
    return Timeline(job=query.job, events=tuple(entries))


PROJECTION = Projection("timeline", 1, (TIMELINE,), _rows, {GetTimeline: _get})
