"""What a webhook is told of an event of the log. Pure, and without anything personal."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from contracts.base import Contract, Id, Timestamp
from contracts.envelope import Recorded
from contracts.events import (
    Event,
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobFailed,
    JobRequested,
    StageCompleted,
    StageFailed,
)
from contracts.job import JobState, JobStatus
from pydantic import Field

from gateway.webhooks.hooks import TEST, HookEvent

TOLD: dict[type[Event], HookEvent] = {
    JobRequested: HookEvent.JOB_REQUESTED,
    JobCompleted: HookEvent.JOB_COMPLETED,
    JobFailed: HookEvent.JOB_FAILED,
    JobCancelled: HookEvent.JOB_CANCELLED,
    JobDeleted: HookEvent.JOB_DELETED,
    StageCompleted: HookEvent.STAGE_COMPLETED,
    StageFailed: HookEvent.STAGE_FAILED,
}
"""The events of the log that webhooks are told of, and what they are called there."""

_SAID: dict[type[Event], tuple[str, ...]] = {
    JobRequested: ("type", "quality", "profile"),
    JobFailed: ("stage", "code", "cause", "remedy"),
    StageCompleted: ("stage", "attempt", "duration_s"),
    StageFailed: ("stage", "attempt", "code", "cause", "remedy", "retryable"),
}


class Notice(Contract):
    """The body of a delivery."""

    type: str = Field(description="one of the events of webhooks, or `webhook.test`")
    job_id: Id | None = None
    sequence: int | None = Field(default=None, description="of the event in the job log")
    time: Timestamp = Field(description="when it happened")
    status: JobStatus | None = Field(default=None, description="of the job, right after it")
    data: dict[str, Any] = Field(default_factory=dict)

    def to_body(self) -> str:
        """The body as it is sent, and signed."""
        return self.model_dump_json(by_alias=True)


def notice(recorded: Recorded, after: JobState) -> Notice:
    """What is told of an event, after which the job stands at `after`."""
    event = recorded.event
    said = set(_SAID.get(type(event), ()))
    return Notice(
        type=TOLD[type(event)],
        job_id=recorded.job,
        sequence=recorded.sequence,
        time=recorded.time,
        status=after.status,
        data=json.loads(event.model_dump_json(by_alias=True, include=said)),
    )


def trial_notice(webhook_id: str, now: datetime) -> Notice:
    """What is told when somebody tries a webhook."""
    return Notice(type=TEST, time=now, data={"webhookId": webhook_id})


def changed(before: JobState, after: JobState) -> bool:
    """Whether an event did anything: what comes too late, or twice, stays in the log unheeded."""
    return after != before.model_copy(update={"sequence": after.sequence})
