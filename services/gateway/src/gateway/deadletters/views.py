"""Dead letters as the API shows them."""

from __future__ import annotations

from typing import Any

from contracts.base import Contract, Id, Name, Timestamp
from contracts.job import JobStatus
from contracts.queries import DeadLetter, LetterStatus
from pydantic import Field

from gateway.deadletters.trail import Trail
from gateway.live import LiveJob
from gateway.live.told import LogLine


class DeadLetterItem(Contract):
    """A dead letter as lists show it."""

    job_id: Id
    owner: Id
    stage: Name
    attempt: int
    kind: Name
    engine: Name | None
    runner: Id | None = Field(description="the last one that took it")
    cause: str
    remedy: str
    failed_at: Timestamp
    status: LetterStatus
    sequence: int = Field(description="of its failure: GET /api/jobs/{job}?at= shows that moment")
    name: str | None = Field(description="what the job is called; null of another owner's")


class DeadLetterList(Contract):
    """One page of dead letters, newest first."""

    letters: tuple[DeadLetterItem, ...]
    next: int | None = Field(description="give it as `before` to get the page after this one")


class DeliveryView(Contract):
    """A runner took the attempt, and vanished."""

    delivery: int = Field(description="how often the attempt had been handed out by then")
    runner: Id
    device: str
    at: Timestamp
    resumed_from_step: int | None


class DeadLetterView(DeadLetterItem):
    """All that is known of a dead letter."""

    job_status: JobStatus
    engine_version: str | None
    params: dict[str, Any]
    scheduled_at: Timestamp | None
    settled_by: Id | None = Field(description="who tried it again, or dropped it")
    settled_at: Timestamp | None
    deliveries: tuple[DeliveryView, ...]
    lines: tuple[LogLine, ...] = Field(description="the last that the attempt wrote")


def item_of(letter: DeadLetter, name: str | None) -> DeadLetterItem:
    """A letter of a list."""
    known = letter.model_dump(exclude={"job"})
    return DeadLetterItem(job_id=letter.job, name=name, **known)


def letter_of(
    live: LiveJob, trail: Trail, name: str | None, lines: tuple[LogLine, ...]
) -> DeadLetterView:
    """A letter in full; ValueError if the attempt is none."""
    if trail.failure is None or trail.failed_at is None:
        raise ValueError(f"attempt {trail.attempt} at {trail.stage} is no dead letter")
    command, taken = trail.scheduled, trail.deliveries
    return DeadLetterView(
        job_id=live.job,
        owner=live.owner or "",
        stage=trail.stage,
        attempt=trail.attempt,
        kind=command.kind if command else trail.stage,
        engine=command.engine if command else None,
        runner=taken[-1].runner if taken else trail.failure.runner,
        cause=trail.failure.cause,
        remedy=trail.failure.remedy,
        failed_at=trail.failed_at,
        status=trail.status,
        sequence=trail.sequence,
        name=name,
        job_status=live.state.status,
        engine_version=command.engine_version if command else None,
        params=command.params if command else {},
        scheduled_at=trail.scheduled_at,
        settled_by=trail.settled_by,
        settled_at=trail.settled_at,
        deliveries=tuple(
            DeliveryView(
                delivery=one.number,
                runner=one.runner,
                device=one.device,
                at=one.at,
                resumed_from_step=one.resumed_from_step,
            )
            for one in taken
        ),
        lines=lines,
    )
