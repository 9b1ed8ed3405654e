"""Questions of those who run the system: how long things take, what waits, who used what."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from contracts.base import Contract, Id, Name, Timestamp
from contracts.commands import Lane
from contracts.events import Quality
from contracts.job import JobStatus
from contracts.queries.base import Query


class GetStats(Query):
    """How many jobs the owner has, and how long stages of everybody's took. Answered by `Stats`."""

    subject = "stats.get"


class ListQueue(Query):
    """Every attempt that waits or runs, whoever owns it, oldest first. Answered by `Queue`.

    For the gateway itself, which tells owners only how many are before theirs.
    """

    subject = "queue.list"


class ListDailyUsage(Query):
    """What stages took and made, day by day in UTC. Answered by `DailyUsage`."""

    subject = "usage.daily"
    since: date
    until: date = Field(description="the last day, included")
    everyone: bool = Field(default=False, description="all owners': for operators only")


class StageTimes(Contract):
    """How long the completed stages of one kind took, with one engine at one quality."""

    kind: Name
    engine: Name
    quality: Quality
    count: int
    median_s: float
    longest_s: float


class Stats(Contract):
    """Counts of the owner's jobs, and times of stages, the newest hundred of each kind."""

    jobs: dict[JobStatus, int]
    stages: tuple[StageTimes, ...]


class QueuedAttempt(Contract):
    """An attempt that waits for a runner, or runs."""

    job: Id
    stage: Name
    attempt: int
    kind: Name
    lane: Lane
    running: bool
    scheduled_at: Timestamp


class Queue(Contract):
    """Attempts in the order in which they were scheduled."""

    attempts: tuple[QueuedAttempt, ...]


class UsageDay(Contract):
    """What one owner's stages took and made on one day, by when they ended.

    `device_s` is time on a device by its name, in seconds, of attempts that ran, however they
    ended; `made_bytes` is the size of what they stored.
    """

    day: date
    owner: Id
    jobs: int = Field(description="requested on this day")
    attempts: int
    device_s: dict[str, float]
    made_bytes: int


class DailyUsage(Contract):
    """Days in order, those without any use left out."""

    days: tuple[UsageDay, ...]
