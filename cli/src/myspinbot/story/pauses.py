"""What a job did between one event and the next: at work, in the queue, in a pause, or at rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.job import JobState, StageStatus

from myspinbot.story.history import Entry
from myspinbot.story.sentences import listed
from myspinbot.story.tellers import teller


class Doing(StrEnum):
    """How the time between two events was spent; the first that holds."""

    BACKWARDS = "clocks-disagree"
    """The later event has the earlier time: two clocks differ by at least as much."""
    ENDED = "ended"
    """Nothing was to be done until somebody asked for it."""
    WORKING = "working"
    """At least one stage ran."""
    QUEUED = "waiting-for-a-runner"
    PAUSED = "pausing-before-a-retry"
    DECIDING = "waiting-for-the-planner"


@dataclass(frozen=True, slots=True)
class Pause:
    """The time before an event. `seconds` are below zero where clocks disagree."""

    seconds: float
    doing: Doing
    told: str


def pause_before(earlier: Entry, later: Entry) -> Pause | None:
    """How long nothing was told, and what the job did; None if either event has no time."""
    if earlier.time is None or later.time is None:
        return None
    seconds = (later.time - earlier.time).total_seconds()
    if seconds < 0:
        behind, ahead = teller(later), teller(earlier)
        told = f"two clocks disagree: that of {behind} is behind that of {ahead}"
        return Pause(seconds, Doing.BACKWARDS, told)
    return _pause(seconds, earlier.after)


def pause_until(last: Entry, now: datetime) -> Pause | None:
    """How long nothing was told until now; None if nothing is to come, or its clock is ahead."""
    if last.time is None or last.after.status.ended or last.time >= now:
        return None
    return _pause((now - last.time).total_seconds(), last.after)


def _pause(seconds: float, state: JobState) -> Pause:
    doing = _doing(state)
    return Pause(seconds, doing, _told(state, doing))


def _doing(state: JobState) -> Doing:
    if state.status.ended:
        return Doing.ENDED
    standing = {stage.status for stage in state.stages.values()}
    for status, doing in (
        (StageStatus.RUNNING, Doing.WORKING),
        (StageStatus.SCHEDULED, Doing.QUEUED),
        (StageStatus.WAITING, Doing.PAUSED),
    ):
        if status in standing:
            return doing
    return Doing.DECIDING


def _told(state: JobState, doing: Doing) -> str:
    if doing is Doing.ENDED:
        return f"{state.status}; nobody asked for anything"
    if doing is Doing.DECIDING:
        return "waiting for the planner"
    running = _named(state, StageStatus.RUNNING)
    parts = [f"{listed(running)} at work"] if running else []
    if queued := _named(state, StageStatus.SCHEDULED):
        parts.append(f"{listed(queued)} waiting for a runner")
    if paused := _named(state, StageStatus.WAITING):
        parts.append(f"{listed(paused)} pausing before another attempt")
    return "; ".join(parts)


def _named(state: JobState, status: StageStatus) -> list[str]:
    return [stage.id for stage in state.stages.values() if stage.status is status]
