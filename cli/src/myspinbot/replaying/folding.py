"""The log folded by today's code, to see what comes out: nothing is written anywhere.

States are kept of jobs that have not ended, so the memory does not grow with the log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from contracts.envelope import Recorded, Stored
from contracts.events import JobDeleted, JobRetryRequested
from contracts.fold import evolve, initial
from contracts.job import JobState, JobStatus
from contracts.upcasting import UnknownEventError

from myspinbot.story.history import understood

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unread:
    """An event that cannot be understood, so that its job is not known from there on."""

    sequence: int
    job: str
    problem: str


@dataclass(slots=True)
class Folding:
    """What came out so far, of the events from one position to another.

    Events before `since` are folded as well, for states need them, but not counted.
    """

    since: int = 0
    events: int = 0
    idle: int = 0
    """Events that changed nothing: they came late, twice, or of an attempt that was over."""
    unread: int = 0
    unreadable: list[Unread] = field(default_factory=list)
    _active: dict[str, JobState] = field(default_factory=dict)
    _ended: dict[str, tuple[JobStatus, bool]] = field(default_factory=dict)
    _counted: dict[str, None] = field(default_factory=dict)
    _types: Counter[str] = field(default_factory=Counter)

    def lacks(self, stored: Stored) -> bool:
        """Whether the job had ended and begins again: its earlier events are needed once more."""
        again = stored.headers.get("ce-type", "").endswith(f".{JobRetryRequested.type_name()}")
        return again and _job(stored) in self._ended

    def take(self, stored: Stored, earlier: list[Stored] | None = None) -> None:
        """Take in the next event; `earlier` are those of its job before it, if it lacks them."""
        job = _job(stored)
        counts = stored.sequence > self.since
        if counts:
            self.events += 1
            self._counted[job] = None
        recorded, problem = understood(stored)
        if recorded is None:
            self.unread += counts
            if counts and len(self.unreadable) < MOST_SHOWN:
                self.unreadable.append(Unread(stored.sequence, job, problem or "?"))
            return
        if counts:
            self._types[recorded.type] += 1
        if earlier is not None:
            self._ended.pop(job, None)
            self._active[job] = _folded(job, earlier)
        if job in self._ended:
            moved = self._after_the_end(job, recorded)
        else:
            before = self._active.get(job) or initial(job)
            after = evolve(before, recorded)
            moved = _moved(before, after, recorded)
            self._keep(after)
        self.idle += counts and not moved

    def _after_the_end(self, job: str, recorded: Recorded) -> bool:
        status, deleted = self._ended[job]
        if not isinstance(recorded.event, JobDeleted) or deleted:
            return False
        self._ended[job] = (status, True)
        return True

    def _keep(self, state: JobState) -> None:
        if state.status.ended:
            self._active.pop(state.job, None)
            self._ended[state.job] = (state.status, state.deleted)
        else:
            self._active[state.job] = state

    def jobs(self) -> dict[str, str]:
        """How each job stands that has events in the range; `unknown` if it was never asked for."""
        return {job: self._standing(job) for job in self._counted}

    def _standing(self, job: str) -> str:
        if job in self._ended:
            status, deleted = self._ended[job]
            return "deleted" if deleted else status.value
        state = self._active.get(job)
        return state.status.value if state and state.request else "unknown"

    def document(self, seconds: float) -> dict[str, Any]:
        """What came out, for programs."""
        return {
            "events": self.events,
            "jobs": len(self._counted),
            "seconds": round(seconds, 3),
            "eventsPerS": round(self.events / seconds) if seconds else None,
            "byStatus": dict(sorted(Counter(self.jobs().values()).items())),
            "byType": dict(self._types.most_common()),
            "withoutEffect": self.idle,
            "unread": self.unread,
            "unreadable": [
                {"sequence": each.sequence, "jobId": each.job, "problem": each.problem}
                for each in self.unreadable
            ],
        }


def _job(stored: Stored) -> str:
    return stored.headers.get("ce-subject", "?")


def _folded(job: str, stored: list[Stored]) -> JobState:
    state = initial(job)
    for item in stored:
        try:
            state = evolve(state, item.recorded())
        except UnknownEventError:
            continue
    return state


def _moved(before: JobState, after: JobState, recorded: Recorded) -> bool:
    if after.updated_at != before.updated_at:
        return True
    # Only an event of the very same time as the one before it needs a closer look.
    if after.updated_at != recorded.time:
        return False
    return after.model_copy(update={"sequence": before.sequence}) != before
