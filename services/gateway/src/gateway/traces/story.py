"""Spans as the log alone tells them: of what runs now, and of what nobody keeps spans of any more.

An event carries the trace context of what wrote it, so what the log tells of an attempt is the
very span that the runner will finish, and what is below it finds its place already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from contracts.base import Name
from contracts.envelope import Recorded
from contracts.spans import ids_of

from contracts import events as e


@dataclass(frozen=True, slots=True)
class Told:
    """One span. `ended` is None while it goes on."""

    name: str
    trace_id: str | None
    span_id: str
    parent_id: str | None
    service: str
    began: datetime
    ended: datetime | None
    stage: Name | None = None
    attempt: int | None = None
    outcome: str | None = None


@dataclass(slots=True)
class _Attempts:
    """What is known of the attempts of a job while its events are read."""

    kinds: dict[Name, str] = field(default_factory=dict)
    waiting: dict[tuple[Name, int], Recorded] = field(default_factory=dict)
    running: dict[tuple[Name, int], Told] = field(default_factory=dict)


def story(events: Iterable[Recorded]) -> Iterator[Told]:
    """The request, each time in the queue and each attempt, from the events of one job."""
    known = _Attempts()
    for recorded in events:
        match recorded.event:
            case e.JobRequested():
                yield _told(recorded, "request", None, recorded.time)
            case e.StageScheduled() as event:
                known.kinds[event.stage] = event.kind
                known.waiting[event.stage, event.attempt] = recorded
            case e.StageStarted() as event:
                yield from _started(known, recorded, event)
            case e.StageCompleted() | e.StageFailed() as event:
                if running := known.running.pop((event.stage, event.attempt), None):
                    yield replace(running, ended=recorded.time, outcome=recorded.type)
            case e.JobCompleted() | e.JobFailed() | e.JobCancelled():
                yield from _stopped(known, recorded)
    yield from known.running.values()
    for (stage, attempt), scheduled in known.waiting.items():
        yield _queued(known, scheduled, stage, attempt, None)


def _started(known: _Attempts, recorded: Recorded, event: e.StageStarted) -> Iterator[Told]:
    key = (event.stage, event.attempt)
    scheduled = known.waiting.pop(key, None)
    parent = None
    if scheduled is not None:
        yield _queued(known, scheduled, *key, recorded.time)
        parent = _span_of(scheduled)
    if former := known.running.get(key):
        # Delivered again: the runner that had it has vanished.
        yield replace(former, ended=recorded.time, outcome="abandoned")
        parent = former.parent_id
    name = f"stage {known.kinds.get(event.stage, event.stage)}"
    known.running[key] = replace(
        _told(recorded, name, parent, None), stage=event.stage, attempt=event.attempt
    )


def _stopped(known: _Attempts, recorded: Recorded) -> Iterator[Told]:
    for running in known.running.values():
        yield replace(running, ended=recorded.time, outcome="stopped")
    for (stage, attempt), scheduled in known.waiting.items():
        yield _queued(known, scheduled, stage, attempt, recorded.time)
    known.running.clear()
    known.waiting.clear()


def _queued(
    known: _Attempts, scheduled: Recorded, stage: Name, attempt: int, ended: datetime | None
) -> Told:
    return Told(
        name=f"queue {known.kinds.get(stage, stage)}",
        trace_id=_trace_of(scheduled),
        span_id=hashlib.sha256(scheduled.id.encode()).hexdigest()[:16],
        parent_id=_span_of(scheduled),
        service="gpu-runner",
        began=scheduled.time,
        ended=ended,
        stage=stage,
        attempt=attempt,
    )


def _told(recorded: Recorded, name: str, parent: str | None, ended: datetime | None) -> Told:
    made = hashlib.sha256(b"span " + recorded.id.encode()).hexdigest()[:16]
    return Told(
        name=name,
        trace_id=_trace_of(recorded),
        span_id=_span_of(recorded) or made,
        parent_id=parent,
        service=recorded.source.rsplit("/", 1)[-1],
        began=recorded.time,
        ended=ended,
    )


def _trace_of(recorded: Recorded) -> str | None:
    return ids_of(recorded.traceparent)[0]


def _span_of(recorded: Recorded) -> str | None:
    return ids_of(recorded.traceparent)[1]
