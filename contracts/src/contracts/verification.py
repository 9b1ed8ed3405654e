"""Checks a history event by event, without trusting any of it.

It reads events as they are stored, in order, and tells what is wrong with each. What it keeps of
a job that has ended is a few hundred bytes, so a log of any length can be checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from contracts import findings as f
from contracts.admission import envelope_faults, is_job
from contracts.base import Contract
from contracts.chain import BEGIN
from contracts.envelope import Recorded, Stored
from contracts.events import BESIDE, EVENTS, JobRequested
from contracts.findings import Check, Finding
from contracts.fold import evolve, initial
from contracts.job import JobState
from contracts.legality import objection, wrong_teller
from contracts.remembrance import Remembered, Skeletons
from contracts.subjects import event as subject_of
from contracts.upcasting import UnknownEventError, newest


class Tally(Contract):
    """What a verification has seen. `late` events had no effect, which is no fault."""

    events: int = 0
    jobs: int = 0
    ended: int = 0
    late: int = 0
    unchained: int = 0
    errors: int = 0
    notes: int = 0


@dataclass(slots=True)
class _Job:
    """What is kept of a job that has not ended. `state` is None once it cannot be folded."""

    state: JobState | None
    chain: str = BEGIN
    chained: bool = False
    ids: set[str] = field(default_factory=set)
    time: datetime | None = None
    clock_noted: bool = False


@dataclass(slots=True)
class _Ended:
    """The same of one that has."""

    job: Remembered
    chain: str
    chained: bool
    time: datetime | None


class Verifier:
    """Examines the events of a log, or of a part of it.

    `gapless` is whether each sequence must follow the one before it; `whole_jobs` whether the
    jobs are given from their beginnings and without omission, without which neither chains nor
    transitions can be checked.
    """

    def __init__(self, *, gapless: bool = True, whole_jobs: bool = True, after: int = 0) -> None:
        self._gapless = gapless
        self._whole = whole_jobs
        self._sequence = after
        self._jobs: dict[str, _Job] = {}
        self._ended: dict[str, _Ended] = {}
        self._skeletons = Skeletons()
        self.understood: Recorded | None = None
        """The event that was examined last, if this program understands it."""
        self._events = self._late = self._unchained = self._errors = self._notes = 0

    @property
    def tally(self) -> Tally:
        """What was seen so far."""
        return Tally(
            events=self._events,
            jobs=len(self._jobs) + len(self._ended),
            ended=len(self._ended),
            late=self._late,
            unchained=self._unchained,
            errors=self._errors,
            notes=self._notes,
        )

    def has_ended(self, job: str) -> bool:
        """Whether a job had ended by its last event so far."""
        return job in self._ended

    def is_deleted(self, job: str) -> bool:
        """Whether a job had been deleted by then."""
        return job in self._ended and self._ended[job].job.deleted

    def examine(self, stored: Stored) -> list[Finding]:
        """What is wrong with the next event."""
        found = list(self._examine(stored))
        for finding in found:
            self.count(finding)
        return found

    def count(self, finding: Finding) -> None:
        """Take a finding of somebody else into the tally."""
        if finding.severity is f.Severity.ERROR:
            self._errors += 1
        else:
            self._notes += 1

    def _examine(self, stored: Stored) -> Iterator[Finding]:
        self._events += 1
        self.understood = None
        sequence = stored.sequence
        if self._gapless and sequence != self._sequence + 1:
            yield _gap(self._sequence, sequence)
        self._sequence = sequence
        for fault in envelope_faults(stored.headers):
            yield f.error(Check.ENVELOPE, fault, sequence, stored.headers.get("ce-subject"))
        name = stored.headers.get("ce-subject")
        if name is None or not is_job(name):
            return
        if misplaced := _misplaced(stored):
            yield f.error(Check.ENVELOPE, misplaced, sequence, name)
        job = self._job(name)
        if self._whole:
            yield from self._chain(job, stored, name)
        if self._whole and job.state is not None:
            known = stored.headers.get("ce-id", "")
            if known in job.ids:
                yield f.error(Check.IDENTITY, f"its id {known} was used before", sequence, name)
            job.ids.add(known)
        yield from self._understand(job, stored, name)
        if job.state is not None and job.state.status.ended:
            self._ended[name] = _Ended(
                self._skeletons.remember(job.state), job.chain, job.chained, job.time
            )
            del self._jobs[name]

    def _job(self, name: str) -> _Job:
        job = self._jobs.get(name)
        if job is not None:
            return job
        ended = self._ended.pop(name, None)
        if ended is None:
            job = _Job(initial(name))
        else:
            job = _Job(ended.job.state(name), ended.chain, ended.chained, time=ended.time)
        self._jobs[name] = job
        return job

    def _chain(self, job: _Job, stored: Stored, name: str) -> Iterator[Finding]:
        """A broken link is told once: what follows is held against what is written there."""
        written = stored.chain
        if written is None:
            self._unchained += 1
            if job.chained:
                what = "it has no chain value, although the events before it have"
                yield f.error(Check.CHAIN, what, stored.sequence, name)
            return
        try:
            right = stored.linked(job.chain)
        except UnknownEventError:
            right = ""
        if right != written:
            what = (
                "its chain value does not follow from it and the event before it: it was edited, "
                "or events were put in, left out or moved"
            )
            yield f.error(Check.CHAIN, what, stored.sequence, name)
        job.chain, job.chained = written, True

    def _understand(self, job: _Job, stored: Stored, name: str) -> Iterator[Finding]:
        try:
            recorded = stored.recorded()
        except UnknownEventError:
            # What has no meaning cannot be folded, and the job cannot after it.
            _stop_folding(job)
            if (unknown := unreadable(stored)) is not None:
                yield f.error(*unknown, stored.sequence, name)
            return
        self.understood = recorded
        if fault := wrong_teller(recorded):
            yield f.error(Check.TELLER, fault, stored.sequence, name)
        if recorded.time.tzinfo is None:
            # The envelope's fault is told already.
            _stop_folding(job)
            return
        if job.time is not None and recorded.time < job.time and not job.clock_noted:
            job.clock_noted = True
            seconds = (job.time - recorded.time).total_seconds()
            what = f"told {seconds:g} s earlier than the event before it"
            yield f.note(Check.CLOCK, what, stored.sequence, name)
        job.time = recorded.time
        if self._whole and job.state is not None:
            yield from self._fold(job, job.state, recorded, name)

    def _fold(
        self, job: _Job, before: JobState, recorded: Recorded, name: str
    ) -> Iterator[Finding]:
        sequence = recorded.sequence
        if before.request is None and not isinstance(recorded.event, JobRequested):
            what = f"the job begins with {recorded.type}, and not with JobRequested"
            yield f.error(Check.BEGINNING, what, sequence, name)
            _stop_folding(job)
            return
        illegal = objection(before, recorded)
        if illegal is not None:
            yield f.error(Check.TRANSITION, f"{recorded.type}: {illegal}", sequence, name)
        job.state = after = evolve(before, recorded)
        without_effect = before.updated_at is after.updated_at
        if without_effect and illegal is None and not isinstance(recorded.event, BESIDE):
            self._late += 1


def _stop_folding(job: _Job) -> None:
    job.state = None
    job.ids.clear()


def unreadable(stored: Stored) -> tuple[Check, str] | None:
    """Why an event cannot be understood, or None if it can, or if its envelope is the reason."""
    if "ce-type" not in stored.headers:
        return None
    model = EVENTS.get(stored.type)
    if model is None:
        return Check.VERSION, f"its type {stored.type[:60]} is not known to this program"
    try:
        version = json.loads(stored.body)["version"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return Check.BODY, f"it is no {stored.type}: it has no version"
    known = newest(model)
    if isinstance(version, int) and version > known:
        return (
            Check.VERSION,
            f"{stored.type} is of version {version}, and this program knows up to {known}",
        )
    try:
        stored.recorded()
    except UnknownEventError as error:
        if str(error).startswith("event "):
            return None
        return Check.BODY, f"it is no {stored.type} of version {version}"
    return None


def _gap(before: int, found: int) -> Finding:
    if found <= before:
        return f.error(Check.SEQUENCE, f"sequence {found} comes after {before}", found)
    first, last = before + 1, found - 1
    missing = f"event {first} is" if first == last else f"events {first} to {last} are"
    return f.error(Check.SEQUENCE, f"{missing} missing", found)


def _misplaced(stored: Stored) -> str | None:
    if stored.subject is None or "ce-type" not in stored.headers:
        return None
    if stored.subject == subject_of(stored.job, stored.type):
        return None
    return f"it says that it is {stored.type} of {stored.job}, and stands at {stored.subject}"
