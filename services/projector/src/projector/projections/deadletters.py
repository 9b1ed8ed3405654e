"""Dead letters: attempts that killed every runner that took them, and what became of each.

That a letter was retried or dropped is a row of its own, because it is told by another event
than the failure; a letter without one is open. Whichever came first counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from contracts.events import RUNNER_LOST, DeadLetterDropped, JobRetryRequested, StageFailed
from contracts.job import JobState
from contracts.queries import DeadLetter, DeadLetterPage, LetterStatus, ListDeadLetters
from sqlalchemy import BigInteger, Column, Index, Table, Text, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of
from projector.projections import jobs


class Letter(View, table=True):
    """One attempt that nobody could do. `sequence` is its failure's."""

    __tablename__ = "deadletters_v1"
    __table_args__ = (Index("deadletters_v1_newest", "sequence"),)

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    owner: str
    kind: str
    engine: str | None
    runner: str | None
    cause: str = Field(sa_column=Column(Text, nullable=False))
    remedy: str = Field(sa_column=Column(Text, nullable=False))
    failed_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


class Settled(View, table=True):
    """What became of a letter that was open."""

    __tablename__ = "deadletters_settled_v1"

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    status: str = Field(primary_key=True)
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


LETTERS, SETTLED = table_of(Letter), table_of(Settled)

_SETTLING = {StageFailed, JobRetryRequested, DeadLetterDropped}
"""Only these open a letter or settle one."""


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        event = change.recorded.event
        if type(event) not in _SETTLING:
            continue
        match event:
            case StageFailed(code=code) if code == RUNNER_LOST:
                yield from _letter(change, event)
            case JobRetryRequested() if change.before.status.ended is not (
                change.after.status.ended
            ):
                for stage, attempt in _open(change.before):
                    yield SETTLED, _settled(change, stage, attempt, LetterStatus.RETRIED)
            case DeadLetterDropped(stage=stage, attempt=attempt):
                if (stage, attempt) in _open(change.before):
                    yield SETTLED, _settled(change, stage, attempt, LetterStatus.DROPPED)


def _letter(change: Change, event: StageFailed) -> Iterator[tuple[Table, Row]]:
    before = change.before.stages.get(event.stage)
    stage = change.after.stages.get(event.stage)
    if stage is None or stage is before:
        return
    command = stage.command
    yield (
        LETTERS,
        {
            "job": change.after.job,
            "stage": stage.id,
            "attempt": event.attempt,
            "owner": change.owner,
            "kind": stage.kind,
            "engine": command.engine if command else None,
            "runner": event.runner or stage.runner,
            "cause": event.cause,
            "remedy": event.remedy,
            "failed_at": change.recorded.time,
            "sequence": change.recorded.sequence,
        },
    )


def _open(job: JobState) -> Iterator[tuple[str, int]]:
    """(stage, attempt) of the job's letters that no retry has taken up yet."""
    for stage in job.stages.values():
        for attempt in stage.attempts:
            lost = attempt.failure is not None and attempt.failure.code == RUNNER_LOST
            if lost and attempt.attempt > stage.attempts_forgiven:
                yield stage.id, attempt.attempt


def _settled(change: Change, stage: str, attempt: int, status: LetterStatus) -> Row:
    return {
        "job": change.after.job,
        "stage": stage,
        "attempt": attempt,
        "status": status.value,
        "sequence": change.recorded.sequence,
    }


async def _list(connection: AsyncConnection, query: ListDeadLetters) -> DeadLetterPage:
    letter, settled = LETTERS.c, SETTLED.c
    became = (
        select(settled.status)
        .where(
            settled.job == letter.job,
            settled.stage == letter.stage,
            settled.attempt == letter.attempt,
        )
        .order_by(settled.sequence)
        .limit(1)
        .scalar_subquery()
    )
    status = func.coalesce(became, literal(LetterStatus.OPEN.value))
    mine = (~jobs.JOBS.c.deleted,) if query.everyone else jobs.shown(query.owner)
    page = (
        select(LETTERS, status.label("status"))
        .join(jobs.JOBS, and_(jobs.JOBS.c.job == letter.job, *mine))
        .order_by(letter.sequence.desc())
        .limit(query.limit + 1)
    )
    if query.status is not None:
        page = page.where(status == query.status.value)
    if query.before is not None:
        page = page.where(letter.sequence < query.before)
    found = (await connection.execute(page)).all()
    shown = found[: query.limit]
    return DeadLetterPage(
        letters=tuple(
            DeadLetter.model_validate(
                {name: getattr(row, name) for name in DeadLetter.model_fields}
            )
            for row in shown
        ),
        next_before=shown[-1].sequence if len(found) > len(shown) else None,
    )


PROJECTION = Projection("deadletters", 1, (LETTERS, SETTLED), _rows, {ListDeadLetters: _list})
