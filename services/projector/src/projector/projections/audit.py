"""Audit: what people did to jobs, in the order of the log, and kept when a job is deleted.

It holds ids and choices, as the log does: no names, words or files of anybody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.queries import AuditEntry, AuditPage, ListAudit
from sqlalchemy import BigInteger, Column, Index, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from contracts import events as e
from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of


class Action(StrEnum):
    """What somebody did."""

    REQUESTED = "requested"
    CONSENTED = "consented"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    DELETED = "deleted"
    ERASED = "erased"
    LETTER_DROPPED = "letter_dropped"


class Entry(View, table=True):
    """One thing that somebody did. An event that was appended twice is one. `details` is JSON."""

    __tablename__ = "audit_v1"
    __table_args__ = (
        Index("audit_v1_newest", "sequence"),
        Index("audit_v1_newest_of_owner", "owner", "sequence"),
        Index("audit_v1_job", "job"),
    )

    id: str = Field(primary_key=True)
    job: str
    owner: str
    by: str
    action: str
    time: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    details: str = Field(sa_column=Column(Text, nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


AUDIT = table_of(Entry)

_BY_PEOPLE = {
    e.JobRequested,
    e.ConsentGiven,
    e.JobCancelRequested,
    e.JobRetryRequested,
    e.JobDeleted,
    e.ProfileErased,
    e.DeadLetterDropped,
}
"""Only these tell what a person did."""


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        if type(change.recorded.event) not in _BY_PEOPLE:
            continue
        done = _done(change)
        # What is told of a job that nobody asked for is nobody's.
        if done is None or change.after.request is None:
            continue
        by, action, details = done
        yield (
            AUDIT,
            {
                "id": change.recorded.id,
                "job": change.after.job,
                "owner": change.owner,
                "by": by,
                "action": action.value,
                "time": change.recorded.time,
                "details": json.dumps(details, sort_keys=True),
                "sequence": change.recorded.sequence,
            },
        )


def _done(change: Change) -> tuple[str, Action, dict[str, Any]] | None:
    """(by, action, details) if the event tells what a person did."""
    event = change.recorded.event
    match event:
        case e.JobRequested() if change.before.request is None:
            details: dict[str, Any] = {"type": event.type.value, "quality": event.quality.value}
            if event.profile is not None:
                details["profile"] = event.profile
            if event.forked_from is not None:
                details["forkedFrom"] = event.forked_from.model_dump(mode="json", by_alias=True)
            return event.owner, Action.REQUESTED, details
        case e.ConsentGiven():
            consented = event.model_dump(
                mode="json", by_alias=True, include={"covers", "given_for"}, exclude_none=True
            )
            return event.by, Action.CONSENTED, consented
        case e.JobCancelRequested():
            return event.by, Action.CANCELLED, {}
        case e.JobRetryRequested():
            return event.by, Action.RETRIED, {}
        case e.JobDeleted():
            return event.by, Action.DELETED, {}
        case e.ProfileErased():
            return event.by, Action.ERASED, {}
        case e.DeadLetterDropped():
            dropped = {"stage": event.stage, "attempt": event.attempt}
            return event.by, Action.LETTER_DROPPED, dropped
    return None


async def _list(connection: AsyncConnection, query: ListAudit) -> AuditPage:
    entry = AUDIT.c
    page = select(AUDIT)
    if not query.everyone:
        page = page.where(entry.owner == query.owner)
    for column, wanted in ((entry.by, query.by), (entry.action, query.action)):
        if wanted is not None:
            page = page.where(column == wanted)
    if query.job is not None:
        page = page.where(entry.job == query.job)
    if query.before is not None:
        page = page.where(entry.sequence < query.before)
    page = page.order_by(entry.sequence.desc()).limit(query.limit + 1)
    found = (await connection.execute(page)).all()
    shown = found[: query.limit]
    return AuditPage(
        entries=tuple(
            AuditEntry(
                sequence=row.sequence,
                id=row.id,
                job=row.job,
                owner=row.owner,
                by=row.by,
                action=row.action,
                time=row.time,
                details=json.loads(row.details),
            )
            for row in shown
        ),
        next_before=shown[-1].sequence if len(found) > len(shown) else None,
    )


PROJECTION = Projection("audit", 1, (AUDIT,), _rows, {ListAudit: _list})
