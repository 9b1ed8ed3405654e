"""Questions of those who answer for the system: who did what, and what nobody could do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from contracts.base import Contract, Id, Name, Timestamp
from contracts.queries.base import Query


class ListAudit(Query):
    """What people did to jobs, newest first. Answered by `AuditPage`."""

    subject = "audit.list"
    everyone: bool = Field(default=False, description="all owners': for operators only")
    by: Id | None = Field(default=None, description="only what this person did")
    action: Name | None = None
    job: Id | None = None
    before: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="only what stands before this sequence of the log"
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class LetterStatus(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    RETRIED = "retried"
    DROPPED = "dropped"


class ListDeadLetters(Query):
    """Attempts that killed every runner that took them, newest first. `DeadLetterPage`."""

    subject = "deadletters.list"
    everyone: bool = Field(default=False, description="all owners': for operators only")
    status: LetterStatus | None = Field(default=None, description="all if it is left out")
    before: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="only what stands before this sequence of the log"
    )
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class AuditEntry(Contract):
    """One thing that somebody did to a job. `sequence` and `id` are those of its event."""

    sequence: int
    id: str
    job: Id
    owner: Id
    by: Id
    action: Name = Field(
        description="requested, consented, cancelled, retried, deleted, erased, letter_dropped"
    )
    time: Timestamp
    details: dict[str, Any] = Field(default_factory=dict)


class AuditPage(Contract):
    """Some entries, and from where to go on."""

    entries: tuple[AuditEntry, ...]
    next_before: int | None = None


class DeadLetter(Contract):
    """An attempt at a stage after which no runner was left. `sequence` is its failure's."""

    sequence: int
    job: Id
    owner: Id
    stage: Name
    attempt: int
    kind: Name
    engine: Name | None = None
    runner: Id | None = None
    cause: str
    remedy: str
    failed_at: Timestamp
    status: LetterStatus


class DeadLetterPage(Contract):
    """Some dead letters, and from where to go on."""

    letters: tuple[DeadLetter, ...]
    next_before: int | None = None
