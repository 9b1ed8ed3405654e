"""A job's history as it would stand in the log, told by whom it is told and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState
from given import T0, a_fleet, artifacts
from planner.domain.decide import World, decide
from planner.domain.fleet import Fleet
from planner.domain.replay import SOURCE
from planner.domain.reuse import Reusable

from contracts import events as e


@dataclass
class Recording:
    """One job on its way; each step takes a second."""

    job: str = "job"
    fleet: Fleet = field(default_factory=a_fleet)
    reusable: dict[str, Reusable] = field(default_factory=dict)
    parent: JobState | None = None
    now: datetime = T0
    history: list[Recorded] = field(default_factory=list)

    @property
    def state(self) -> JobState:
        state = initial(self.job)
        for recorded in self.history:
            state = evolve(state, recorded)
        return state

    def tell(self, event: e.Event, source: str = "/myspinbot/gpu-runner") -> Recording:
        self.now += timedelta(seconds=1)
        self._add(event, source)
        return self

    def _add(self, event: e.Event, source: str) -> None:
        sequence = len(self.history) + 1
        recorded = Recorded(self.job, event, f"{self.job}-{sequence}", source, self.now, sequence)
        self.history.append(recorded)

    def asked(self, event: e.Event) -> Recording:
        """A user says something, and the planner answers."""
        return self.tell(event, "/myspinbot/gateway").planned()

    def planned(self) -> Recording:
        """The planner decides all that follows now."""
        state = self.state
        parent = None if state.graph else self.parent
        decision = decide(state, World(self.now, self.fleet, self.reusable.get, parent))
        self.now += timedelta(seconds=1)
        for event in decision.events:
            self._add(event, SOURCE)
        return self

    def makes(self, stage: str, *outputs: str) -> Recording:
        """A runner completes the stage's current attempt, and the planner goes on."""
        made = e.StageCompleted(
            stage=stage,
            attempt=self.state.stages[stage].attempt,
            runner="r1",
            outputs=artifacts(*outputs),
            metrics={"n": 1},
            duration_s=1,
        )
        return self.tell(made).planned()

    def fails(self, stage: str, *, retryable: bool = False, **changes: str) -> Recording:
        """A runner fails at the stage's current attempt, and the planner goes on."""
        told = {"code": "no-face", "cause": "photo 2 shows no face", "remedy": "Use another"}
        failed = e.StageFailed(
            stage=stage,
            attempt=self.state.stages[stage].attempt,
            retryable=retryable,
            **{**told, **changes},
        )
        source = SOURCE if failed.code == e.RUNNER_LOST else "/myspinbot/gpu-runner"
        return self.tell(failed, source).planned()

    def later(self, seconds: float) -> Recording:
        self.now += timedelta(seconds=seconds)
        return self
