"""What must hold in every world, whatever befell it. The judge sees all, and tells what it saw."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState, StageState, StageStatus
from contracts.legality import objection, wrong_teller
from contracts.progress import StageProgress
from eventlog.log import stored_event

from contracts import events as e
from contracts import subjects
from tests.simulation.children import Child, Nursery
from tests.simulation.server import Server
from tests.simulation.store import Objects
from tests.simulation.streams import Stream

STOPS_WITHIN_S = 30.0
"""How soon a runner that lives must have stopped what nobody wants."""


class ViolationError(AssertionError):
    """Something that must hold did not."""


@dataclass
class Judge:
    """Follows the log of a world as it grows, and checks each step of it."""

    server: Server
    objects: Objects
    nursery: Nursery
    events: list[Recorded] = field(default_factory=list)
    states: dict[str, JobState] = field(default_factory=dict)
    _chains: dict[str, str] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    _results: Counter[tuple[str, str]] = field(default_factory=Counter)
    _unwanted: dict[Child, float] = field(default_factory=dict)
    _highest: dict[str, float] = field(default_factory=dict)
    _board: Stream | None = None

    def look(self) -> list[Recorded]:
        """Judge what is new in the log, and return it."""
        if subjects.JOBS not in self.server.streams:
            return []
        new = []
        for kept in self.server.read(subjects.JOBS, len(self.events)):
            stored = stored_event(kept.headers, kept.data, kept.sequence, kept.subject)
            recorded = stored.recorded()
            self._check_envelope(recorded, stored.linked(self._chains.get(recorded.job, "")))
            before = self.states.get(recorded.job) or initial(recorded.job)
            self.states[recorded.job] = after = evolve(before, recorded)
            self._check_step(recorded, before, after)
            self.events.append(recorded)
            new.append(recorded)
        return new

    def _check_envelope(self, recorded: Recorded, chain: str) -> None:
        where = f"event {recorded.sequence} ({recorded.type} of {recorded.job})"
        if recorded.sequence != len(self.events) + 1:
            raise ViolationError(f"{where} should be event {len(self.events) + 1}")
        if recorded.id in self._ids:
            raise ViolationError(f"{where} is in the log twice")
        if recorded.chain != chain:
            raise ViolationError(f"{where} is not chained to the job's event before it")
        self._ids.add(recorded.id)
        self._chains[recorded.job] = chain

    def _check_step(self, recorded: Recorded, before: JobState, after: JobState) -> None:
        where = f"event {recorded.sequence} ({recorded.type} of {recorded.job})"
        if wrong := wrong_teller(recorded) or objection(before, recorded):
            raise ViolationError(f"{where} should not stand there: {wrong}")
        again = isinstance(recorded.event, e.JobRetryRequested)
        if before.status.ended and after.status is not before.status and not again:
            raise ViolationError(f"{where} ends a job that had ended: {before.status}")
        if after.progress < before.progress:
            raise ViolationError(
                f"{where} takes progress back from {before.progress:.3f} to {after.progress:.3f}"
            )
        for name, stage in after.stages.items():
            former = before.stages.get(name)
            if former is None or former is stage:
                continue
            if stage.fraction < former.fraction:
                raise ViolationError(
                    f"{where} takes {name} back from {former.fraction:.3f} to {stage.fraction:.3f}"
                )
            if former.status is StageStatus.COMPLETED:
                raise ViolationError(f"{where} changes {name}, which was completed")
            if stage.status is StageStatus.COMPLETED:
                self._check_result(where, recorded.job, former, recorded.event)

    def _check_result(self, where: str, job: str, before: StageState, event: e.Event) -> None:
        self._results[job, before.id] += 1
        if self._results[job, before.id] > 1:
            raise ViolationError(f"{where} is a second result of {before.id}")
        due = before.attempt if before.status.outstanding else "none"
        if isinstance(event, e.StageCompleted) and event.attempt != due:
            raise ViolationError(f"{where} is of attempt {event.attempt}, and {due} was due")
        for artifacts in getattr(event, "outputs", {}).values():
            for artifact in artifacts:
                content = self.objects.content.get(artifact.key)
                if content is None or hashlib.sha256(content).hexdigest() != artifact.sha256:
                    raise ViolationError(f"{where} names {artifact.key}, which is not in the store")

    def watch_children(self, now: float, calm_since: float) -> None:
        """Judge that nobody works for long on what is not wanted. Call it every second or so."""
        for child in self.nursery.running():
            state = self.states.get(child.job)
            if child.life.frozen or (state and state.wants(child.stage, child.attempt)):
                self._unwanted.pop(child, None)
                continue
            since = max(self._unwanted.setdefault(child, now), calm_since)
            if now - since > STOPS_WITHIN_S:
                raise ViolationError(
                    f"{child.life.name} has worked for {now - since:.0f} s on attempt "
                    f"{child.attempt} at {child.stage} of {child.job}, which nobody wants"
                )

    def watch_progress(self) -> None:
        """Judge that what is shown of running stages does not go back."""
        stream = self.server.streams.get(subjects.PROGRESS)
        if stream is not self._board:
            # A broker that restarts forgets it, and it is told anew.
            self._board = stream
            self._highest.clear()
        for kept in stream.lasts([subjects.ALL_PROGRESS], 0.0) if stream else ():
            high = StageProgress.model_validate_json(kept.data).high
            if high < self._highest.get(kept.subject, 0.0):
                raise ViolationError(
                    f"{kept.subject} went back from {self._highest[kept.subject]:.3f} to {high:.3f}"
                )
            self._highest[kept.subject] = high

    def unfinished(self, accepted: list[str]) -> list[str]:
        """What is still to happen, in words; nothing once all is settled."""
        open_jobs = [
            f"job {job} is {state.status if state else 'unknown'}"
            for job in accepted
            if (state := self.states.get(job)) is None or not state.status.ended
        ]
        open_jobs += [
            f"job {state.job} is {state.status}"
            for state in self.states.values()
            if state.job not in accepted and state.request and not state.status.ended
        ]
        left = self.server.streams.get(subjects.COMMANDS)
        waiting = [f"{left.length} commands are in the queue"] if left and left.length else []
        working = [
            f"{child.life.name} works on {child.stage} of {child.job}"
            for child in self.nursery.running()
        ]
        return open_jobs + waiting + working
