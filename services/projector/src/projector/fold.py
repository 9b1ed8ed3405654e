"""What a batch of events does to the jobs it is about, as data for the projections.

A projection never folds events itself: it is given each event with the job as it was
before and as it is after, by the one fold that all services share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts.envelope import Recorded
from contracts.events import JobRequested, StageCompleted, StageReused
from contracts.fold import evolve, initial
from contracts.job import JobState, StageState


class Change(NamedTuple):
    """One event, and the state of its job around it."""

    recorded: Recorded
    before: JobState
    after: JobState

    @property
    def owner(self) -> str:
        """Who the job belongs to; empty, which is nobody's id, before it was requested."""
        request = self.after.request
        return request.owner if request else ""

    @property
    def completed_stage(self) -> StageState | None:
        """The stage that this event completed; None too if its attempt was over before."""
        event = self.recorded.event
        if type(event) is not StageCompleted and type(event) is not StageReused:
            return None
        before = self.before.stages.get(event.stage)
        after = self.after.stages.get(event.stage)
        return after if after is not before else None


def changes(known: Mapping[str, JobState], events: Sequence[Recorded]) -> list[Change]:
    """The change that each event makes, in order. Jobs not in `known` begin with these events."""
    states = dict(known)
    result = []
    for recorded in events:
        before = states.get(recorded.job) or initial(recorded.job)
        after = states[recorded.job] = evolve(before, recorded)
        result.append(Change(recorded, before, after))
    return result


def latest(batch: Sequence[Change]) -> list[tuple[JobRequested, JobState]]:
    """Each job of the batch as it is after the whole batch, with what was asked for.

    A job whose first event is not its request is none, and left out.
    """
    states = {change.after.job: change.after for change in batch}
    return [(state.request, state) for state in states.values() if state.request]
