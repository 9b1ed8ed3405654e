"""Recorded jobs, decided anew, to see where today's planner would decide otherwise.

Every decision of a recorded job is made again, from the state that the job had and from what must
have been known. So a change of the planner is tried against everything that ever happened before
it ships.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Stage
from contracts.job import JobState

from contracts import events as e
from planner.domain.decide import RUNNER_GRACE_S, World, decide
from planner.domain.fleet import NO_RUNNER, WEIGHTS_ABSENT
from planner.domain.recorded import (
    Histories,
    History,
    Use,
    fleet_of,
    parent_at,
    reusable_of,
    specs_of,
    uses_of,
    without,
)

SOURCE = "/myspinbot/planner"
"""The source of what a planner tells (`eventlog.log.EventLog`)."""

_CLOCK = timedelta(seconds=10)
"""How much later than it was made a decision may have been written down."""
_AT_ONCE = timedelta(seconds=1)
"""How far the events of one decision are from each other."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of a recorded job: what was told then, and what would be told today.

    The job had come to event `sequence`, and `time` is when the planner decided. `absent` are the
    engines without which the decision is the same; with them it would not be. The log does not
    tell whether their runners were there.
    """

    job: str
    sequence: int
    time: datetime
    recorded: tuple[Recorded, ...]
    today: tuple[e.Event, ...]
    absent: tuple[Use, ...] = ()

    @property
    def same(self) -> bool:
        """Whether today's planner decides what was decided."""
        return essences([item.event for item in self.recorded]) == essences(self.today)


def replay(
    history: History, histories: Histories | None = None, *, settled: bool = True
) -> Iterator[Decided]:
    """Every decision of a job, made again.

    `histories` are those of the jobs that this one took something over from, by job. A job that
    is `settled` was left alone for long enough that nothing was left to decide; if it has not
    ended, that is a decision too. Raises MissingHistoryError.
    """
    if not history:
        return
    replayed = _Replay(history, histories or {})
    index = 0
    state = initial(history[0].job)
    while index < len(history):
        if not is_decision(history[index]):
            state = evolve(state, history[index])
            index += 1
            continue
        decided = replayed.decided(state, index, _run(history, index))
        yield decided
        for recorded in decided.recorded:
            state = evolve(state, recorded)
        index += len(decided.recorded)
    if settled and not state.status.ended:
        left = replayed.decided(state, index, ())
        if left.today or left.absent:
            yield left


def is_decision(recorded: Recorded) -> bool:
    """Whether the planner told of it because it followed; a runner's death it only passes on."""
    event = recorded.event
    told = isinstance(event, e.StageFailed) and event.code == e.RUNNER_LOST
    return recorded.source == SOURCE and not told


def essences(events: Sequence[e.Event]) -> list[dict[str, Any]]:
    """Events as plain JSON, each with its type."""
    return [{"type": event.type_name(), **json.loads(event.to_json())} for event in events]


class _Replay:
    """A job's history, and what is known around it."""

    def __init__(self, history: History, histories: Histories) -> None:
        self._history = history
        self._histories = histories
        self._specs = specs_of(history)
        self._uses = uses_of(history, histories)
        # A history that is missing is missed before anything is said, not half way through.
        parent_at(history, histories, history[0].time)

    def decided(self, state: JobState, index: int, run: History) -> Decided:
        """The decision at `index`, or the first of several that were told one after the other."""
        known = self._of(index, index + len(run))
        others = (*reversed(self._of(0, index)), *self._of(index + len(run), len(self._history)))
        told_of = {str(use) for use in known}
        absent = {str(use): use for use in others if str(use) not in told_of}
        every = self._decided(state, run, (*known, *others))
        if every.same or not absent:
            return every
        only = self._decided(state, run, known)
        return replace(only, absent=tuple(absent.values())) if only.same else every

    def _of(self, start: int, end: int) -> tuple[Use, ...]:
        return tuple(use for index, use in self._uses.items() if start <= index < end)

    def _decided(self, state: JobState, run: History, uses: Sequence[Use]) -> Decided:
        now = run[0].time if run else self._history[-1].time
        quality = state.request.quality if state.request else e.Quality.STANDARD
        fleet = fleet_of(uses, quality, now)
        grace_s = RUNNER_GRACE_S
        if gave_up := self._gave_up(state, run):
            spec, code = gave_up
            fleet = without(fleet, spec, weights=code == WEIGHTS_ABSENT)
            grace_s = 0.0
        parent = None if state.graph else parent_at(self._history, self._histories, now)
        world = World(now, fleet, reusable_of(run), parent, grace_s)
        today = _as_recorded(decide(state, world).events, run)
        made = Decided(state.job, state.sequence, now, tuple(run[: len(today)]), today)
        return made if made.same and today else replace(made, recorded=_at_once(run))

    def _gave_up(self, state: JobState, run: History) -> tuple[Stage, str] | None:
        """The stage that no runner could do, and why, if that was decided."""
        for event in (item.event for item in run):
            if not isinstance(event, e.JobFailed) or event.code not in (NO_RUNNER, WEIGHTS_ABSENT):
                continue
            spec = self._specs.get(event.stage or "")
            # The stage's own failure has the code of whoever tells of it.
            if spec and not _ended(state, spec):
                return spec, event.code
        return None


def _ended(state: JobState, spec: Stage) -> bool:
    stage = state.stages.get(spec.id)
    return stage is not None and stage.status.ended


def _run(history: History, index: int) -> History:
    """The decisions that stand one after the other from an index on."""
    end = index
    while end < len(history) and is_decision(history[end]):
        end += 1
    return history[index:end]


def _at_once(run: History) -> tuple[Recorded, ...]:
    """The first of the decisions that stand one after the other, by their times."""
    gaps = (after.time - before.time for before, after in pairwise(run))
    end = next((place for place, gap in enumerate(gaps, 1) if gap > _AT_ONCE), len(run))
    return tuple(run[:end])


def _as_recorded(today: Sequence[e.Event], run: History) -> tuple[e.Event, ...]:
    """Today's events, with the record's own words for what it does not tell the reasons of.

    That is the very moment of the decision, from which times are counted, and what runners lacked.
    """
    failed_now = {event.stage for event in today if isinstance(event, e.StageFailed)}
    told: list[e.Event | None] = [item.event for item in run]
    told += [None] * max(len(today) - len(told), 0)
    return tuple(_worded(event, then, failed_now) for event, then in zip(today, told, strict=False))


def _worded(event: e.Event, then: e.Event | None, failed_now: set[str]) -> e.Event:
    match event, then:
        case e.StageScheduled(deadline=datetime() as new), e.StageScheduled(
            deadline=datetime() as old
        ) if abs(new - old) <= _CLOCK:
            return event.model_copy(update={"deadline": old})
        case e.StageRetryScheduled(), e.StageRetryScheduled() if (
            event.stage in failed_now and abs(event.at - then.at) <= _CLOCK
        ):
            return event.model_copy(update={"at": then.at})
        case e.JobFailed(), e.JobFailed() if event.code in (NO_RUNNER, WEIGHTS_ABSENT) and (
            event.code,
            event.stage,
        ) == (then.code, then.stage):
            return event.model_copy(update={"cause": then.cause, "remedy": then.remedy})
    return event
