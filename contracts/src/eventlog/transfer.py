"""Brings the events of jobs into a log as they were written in another one.

A job enters in one atomic batch, so that no planner sees it half told. Doing it again changes
nothing; a job that has another history here stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from contracts.chain import canonical
from contracts.envelope import Stored

from eventlog.errors import ConflictError
from eventlog.log import EventLog

MOST_AT_ONCE = 1000
"""Events in one atomic batch: what the broker allows."""
_TRIES = 3
_HEADER_ROOM = 2048
_PER_HEADER = 4


class Outcome(StrEnum):
    """What became of a job."""

    IMPORTED = "imported"
    THERE = "there"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Received:
    """How it went with one job: events that are new here, events that were there, and why not."""

    outcome: Outcome
    new: int = 0
    known: int = 0
    reason: str = ""


async def receive(
    log: EventLog, job: str, events: Callable[[], Iterable[Stored]], most: int = MOST_AT_ONCE
) -> Received:
    """Append what is missing here of a job. `events` gives its events, from its beginning.

    Raises EventLogError if the broker fails.
    """
    for _ in range(_TRIES):
        given = iter(events())
        last = known = 0
        async for here in log.read_stored(job):
            there = next(given, None)
            if there is None:
                # It has gone on here since, and what is given is all known.
                return Received(Outcome.THERE, known=known)
            if not _same(here, there):
                return Received(Outcome.REFUSED, reason=_other(known, here))
            last, known = here.sequence, known + 1
        new = 0
        try:
            for batch in _batches(given, most):
                last = await log.copy(batch, last)
                new += len(batch)
        except ConflictError:
            if new:
                reason = f"somebody else went on with it after {new} of its events were written"
                return Received(Outcome.REFUSED, new, known, reason)
            # Another import, or its planner, was quicker: look again.
            continue
        return Received(Outcome.IMPORTED if new else Outcome.THERE, new, known)
    return Received(Outcome.REFUSED, reason="somebody else writes to it all the time")


def message_bytes(stored: Stored) -> int:
    """About how many bytes the broker counts for an event."""
    headers = sum(len(name) + len(value) + _PER_HEADER for name, value in stored.headers.items())
    return len(stored.body) + headers + _HEADER_ROOM


def _same(here: Stored, there: Stored) -> bool:
    return here.chain == there.chain and canonical(here.structured()) == canonical(
        there.structured()
    )


def _other(known: int, here: Stored) -> str:
    where = "from its first event on" if known == 0 else f"after {known} events in common"
    return f"it has another history here, {where} (at sequence {here.sequence})"


def _batches(events: Iterator[Stored], most: int) -> Iterator[list[Stored]]:
    while batch := list(islice(events, most)):
        yield batch
