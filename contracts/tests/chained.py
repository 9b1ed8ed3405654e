"""Histories as they stand in a log: recorded ones, chained as events are today."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.chain import BEGIN
from contracts.envelope import Recorded, Stored, store, stored_from
from contracts.events import Event

HISTORIES = Path(__file__).parents[2] / "tests" / "histories"
T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_SOURCES = {"gateway": "/myspinbot/gateway", "planner": "/myspinbot/planner"}


def recorded_histories() -> list[Path]:
    return sorted(HISTORIES.glob("*.jsonl"))


def history(path: Path) -> list[Stored]:
    lines = path.read_text().splitlines()
    return chained(stored_from(json.loads(line)) for line in lines)


def chained(events: Iterable[Stored], first: int = 1) -> list[Stored]:
    """The events of one job with chain values, from a sequence on."""
    previous, linked = BEGIN, []
    for sequence, stored in enumerate(events, first):
        previous = stored.linked(previous)
        headers = {**stored.headers, "ce-chain": previous}
        linked.append(replace(stored, headers=headers, sequence=sequence))
    return linked


def told(events: Sequence[Event], job: str = "j1", **sources: str) -> list[Stored]:
    """Events as whoever may tell them would have."""
    return chained(
        store(
            Recorded(
                job=job,
                event=event,
                id=f"{job}-{number}",
                source=sources.get(event.type_name(), source_of(event)),
                time=T0 + timedelta(seconds=number),
            )
        )
        for number, event in enumerate(events)
    )


def source_of(event: Event) -> str:
    teller = max(event.told_by)
    return _SOURCES.get(teller.value, "/myspinbot/gpu-runner")


def interleaved(jobs: Sequence[Sequence[Stored]]) -> Iterator[Stored]:
    """The events of several jobs in turn, as they would stand in one stream."""
    waiting = [list(events) for events in jobs]
    sequence = 0
    while any(waiting):
        for events in waiting:
            if events:
                sequence += 1
                yield replace(events.pop(0), sequence=sequence)
