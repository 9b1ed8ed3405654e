"""A job in numbers: where its time went, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from contracts.job import JobState, JobStatus, Outcome, StageStatus

from myspinbot.screen import size
from myspinbot.story.history import Entry
from myspinbot.story.pauses import Doing, pause_before, pause_until
from myspinbot.story.spans import span
from myspinbot.story.tellers import Role, teller


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of one job. `seconds` are by what was going on, and together its whole time."""

    status: JobStatus
    seconds: dict[Doing, float]
    stages: dict[str, int]
    attempts: int
    failed_attempts: int
    events: int
    unknown_events: int
    bytes: int
    tellers: dict[Role, tuple[str, ...]]

    @property
    def active_s(self) -> float:
        """The time in which something was wanted of the system."""
        return sum(
            length
            for doing, length in self.seconds.items()
            if doing not in (Doing.ENDED, Doing.BACKWARDS)
        )


def summary(entries: Sequence[Entry], now: datetime) -> Summary:
    """The numbers of a history of at least one event, until now if the job goes on."""
    state = entries[-1].after
    seconds = dict.fromkeys(Doing, 0.0)
    between = [pause_before(earlier, later) for earlier, later in pairwise(entries)]
    for pause in (*between, pause_until(entries[-1], now)):
        if pause is not None:
            seconds[pause.doing] += pause.seconds
    attempts = [attempt for stage in state.stages.values() for attempt in stage.attempts]
    names: dict[Role, dict[str, None]] = {}
    for entry in entries:
        who = teller(entry)
        names.setdefault(who.role, {})[who.name] = None
    return Summary(
        status=state.status,
        seconds=seconds,
        stages=_stages(state),
        attempts=len(attempts),
        failed_attempts=sum(attempt.outcome is Outcome.FAILED for attempt in attempts),
        events=len(entries),
        unknown_events=sum(entry.recorded is None for entry in entries),
        bytes=sum(len(entry.stored.body) for entry in entries),
        tellers={role: tuple(found) for role, found in names.items()},
    )


def _stages(state: JobState) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stage in state.stages.values():
        taken = stage.reused_from is not None and stage.status is StageStatus.COMPLETED
        stopped = state.status.ended and stage.status.outstanding
        how = "taken over" if taken else "stopped" if stopped else str(stage.status)
        counts[how] = counts.get(how, 0) + 1
    return counts


_SPENT = {
    Doing.WORKING: "at work",
    Doing.QUEUED: "waiting for a runner",
    Doing.PAUSED: "pausing before a retry",
    Doing.DECIDING: "waiting for the planner",
    Doing.ENDED: "at rest after its end",
}


def summary_lines(found: Summary) -> list[str]:
    """The summary as a few lines of text."""
    verb = "after" if found.status.ended else "for"
    spent = [
        f"{span(found.seconds[doing])} {told}"
        for doing, told in _SPENT.items()
        if found.seconds[doing] >= 0.0005
    ]
    lines = [
        f"{str(found.status).capitalize()} {verb} {span(found.active_s)}: {', '.join(spent) or '-'}"
    ]
    if found.stages:
        failed = f", {found.failed_attempts} failed" if found.failed_attempts else ""
        stages = ", ".join(f"{count} {how}" for how, count in sorted(found.stages.items()))
        tries = "attempt" if found.attempts == 1 else "attempts"
        lines.append(f"Stages: {stages}; {found.attempts} {tries}{failed}")
    told_by = ", ".join(", ".join(names) for names in found.tellers.values())
    many = "event" if found.events == 1 else "events"
    lines.append(f"{found.events} {many}, {size(found.bytes)}, told by {told_by}")
    if found.unknown_events:
        lines.append(
            f"{found.unknown_events} of them this MySpinBot does not understand (marked with ?): "
            "what is said here is without them. Update it to see all."
        )
    if found.seconds[Doing.BACKWARDS] < 0:
        off = span(found.seconds[Doing.BACKWARDS])
        lines.append(f"Clocks of its machines disagree, by {off} in all: synchronise them.")
    return lines
