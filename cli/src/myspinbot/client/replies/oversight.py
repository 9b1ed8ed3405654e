"""Dead letters, usage by day, and the audit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from myspinbot.client.replies.base import Reply
from myspinbot.client.replies.jobs import LogLine


class Taking(Reply):
    """A runner took an attempt, and vanished."""

    delivery: int
    runner: str
    device: str = ""
    at: datetime
    resumed_from_step: int | None = None


class DeadLetter(Reply):
    """An attempt after which no runner was left. `deliveries` and `lines` only of a single one."""

    job_id: str
    owner: str = ""
    stage: str
    attempt: int
    kind: str = ""
    engine: str | None = None
    runner: str | None = None
    cause: str = ""
    remedy: str = ""
    failed_at: datetime
    status: str
    sequence: int = 0
    name: str | None = None
    job_status: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    settled_by: str | None = None
    settled_at: datetime | None = None
    deliveries: tuple[Taking, ...] = ()
    lines: tuple[LogLine, ...] = ()

    @property
    def reference(self) -> str:
        """What commands call it by: `job/stage/attempt`."""
        return f"{self.job_id}/{self.stage}/{self.attempt}"


class DeadLetterList(Reply):
    """One page of dead letters, newest first."""

    letters: tuple[DeadLetter, ...]
    next: int | None = None


class UsageDay(Reply):
    """What one owner's stages took and made on one day. `device_s` is in seconds, by device."""

    day: date
    owner: str = ""
    jobs: int = 0
    attempts: int = 0
    device_s: dict[str, float] = Field(default_factory=dict)
    made_bytes: int = 0


class DailyUsage(Reply):
    """Days in order, those without any use left out."""

    since: date
    until: date
    days: tuple[UsageDay, ...] = ()


class AuditEntry(Reply):
    """One thing that somebody did to a job."""

    sequence: int
    id: str = ""
    job_id: str
    owner: str = ""
    by: str
    action: str
    time: datetime
    details: dict[str, Any] = Field(default_factory=dict)


class AuditList(Reply):
    """One page of what was done, newest first."""

    entries: tuple[AuditEntry, ...]
    next: int | None = None
