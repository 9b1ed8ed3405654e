"""Imports the jobs of a file into an installation, each whole or not at all.

Deletions come last, when all else is in the log: what follows from them, the erasing of objects,
must see all jobs that have taken objects over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from contracts.artifacts import Artifact
from contracts.findings import Check
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.transfer import MOST_AT_ONCE, Outcome, Received, receive

from myspinbot.exchange.plan import Plan, PlannedJob


@dataclass(slots=True)
class Imported:
    """What became of the jobs of a file. `refused` says of each why."""

    jobs: int = 0
    new_events: int = 0
    there: int = 0
    known_events: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "imported": {"jobs": self.jobs, "events": self.new_events},
            "there": {"jobs": self.there, "events": self.known_events},
            "refused": self.refused,
            "unfinished": self.unfinished,
        }

    def count(self, job: str, received: Received) -> None:
        """Take in how it went with a job."""
        self.new_events += received.new
        self.known_events += received.known
        match received.outcome:
            case Outcome.IMPORTED:
                self.jobs += 1
            case Outcome.THERE:
                self.there += 1
            case Outcome.REFUSED:
                self.refused[job] = received.reason


def judge(plan: Plan, *, unfinished: bool, partial: bool, planned_by_others: bool) -> Imported:
    """What is refused before anything is written.

    `planned_by_others` is whether a planner lives there, which would go on with a job of which
    only a part has entered.
    """
    outcome = Imported()
    for job in plan.jobs.values():
        longest = max(job.deleted_from or 0, len(job.places) - (job.deleted_from or 0))
        if job.fault is not None:
            outcome.refused[job.job] = _why(plan, job)
        elif job.too_large:
            outcome.refused[job.job] = f"its event {job.too_large} is larger than the broker takes"
        elif not job.ended and not (unfinished and not partial):
            outcome.unfinished.append(job.job)
        elif longest > MOST_AT_ONCE and planned_by_others:
            outcome.refused[job.job] = (
                f"it has {longest} events, which is more than enter the log at once, and the "
                "planner there would go on with a part of it: stop the system first"
            )
    return outcome


def _why(plan: Plan, job: PlannedJob) -> str:
    fault = job.fault
    if fault is None:
        return ""
    closing = plan.intake.closing
    if fault.check is Check.VERSION and closing is not None:
        return f"{fault.what}: it takes MySpinBot {closing.program} or newer"
    where = f"event {fault.sequence}: " if fault.sequence else ""
    return f"{where}{fault.what}"


def wanted_objects(plan: Plan, outcome: Imported) -> Iterator[Artifact]:
    """The objects that the jobs need which are let in."""
    left_out = {*outcome.refused, *outcome.unfinished}

    def is_gone(job: str) -> bool:
        return job in left_out or plan.is_deleted(job)

    for artifact, _ in plan.objects.wanted(is_gone):
        yield artifact
    for artifact, job in plan.objects.borrowed():
        if not is_gone(job):
            yield artifact


async def carry_out(
    broker: Broker, plan: Plan, outcome: Imported, told: Callable[[int, int | None], None]
) -> None:
    """Write the jobs that were not refused. Doing it again goes on where it was cut."""
    log = EventLog(broker, "cli")
    left_out = {*outcome.refused, *outcome.unfinished}
    chosen = [job for job in plan.jobs.values() if job.job not in left_out]
    deleted = [job for job in chosen if job.deleted_from is not None]
    total = len(chosen) + len(deleted)
    begun: dict[str, Received] = {}
    for number, job in enumerate(chosen, 1):
        received = await _receive(log, plan, job, job.deleted_from)
        if job.deleted_from is None or received.outcome is Outcome.REFUSED:
            outcome.count(job.job, received)
        else:
            begun[job.job] = received
        told(number, total)
    for number, job in enumerate(deleted, len(chosen) + 1):
        if (before := begun.get(job.job)) is not None:
            received = await _receive(log, plan, job, None)
            outcome.count(job.job, _together(before, received))
        told(number, total)


async def _receive(log: EventLog, plan: Plan, job: PlannedJob, until: int | None) -> Received:
    return await receive(log, job.job, lambda: plan.events_of(job, until))


def _together(before: Received, after: Received) -> Received:
    """Both parts of a job as one: what the first wrote, the second has found."""
    if after.outcome is Outcome.REFUSED:
        return after
    new = before.new + after.new
    return Received(Outcome.IMPORTED if new else Outcome.THERE, new, after.known - before.new)
