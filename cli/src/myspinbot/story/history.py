"""A job's events with the job's state before and after each of them.

Events that this program does not understand, such as those of a newer version, stay in the
history with what is missing; the states after them are what can be said without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from contracts.envelope import Recorded, Stored
from contracts.events import EVENTS
from contracts.fold import evolve, initial
from contracts.job import JobState
from contracts.upcasting import UnknownEventError, newest

_VERSION = re.compile(r"\.v(\d+)\.json$")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of a job. `number` counts from 1 within the job."""

    number: int
    stored: Stored
    before: JobState
    after: JobState
    recorded: Recorded | None
    problem: str | None
    """Why it is not understood, if it is not."""

    @property
    def sequence(self) -> int:
        """Its position in the log."""
        return self.stored.sequence

    @property
    def time(self) -> datetime | None:
        """When it was told, by the clock of who told it."""
        return time_of(self.stored)

    @property
    def type(self) -> str:
        """Its type name; `?` if it does not say."""
        return name_of(self.stored)

    @property
    def effective(self) -> bool:
        """Whether it changed the job."""
        unmoved = {"sequence": 0, "updated_at": None}
        return self.before.model_copy(update=unmoved) != self.after.model_copy(update=unmoved)


def history(job: str, stored: Iterable[Stored]) -> tuple[Entry, ...]:
    """The job's events in the order of the log, each with the states around it."""
    entries = []
    state = initial(job)
    for number, item in enumerate(stored, 1):
        recorded, problem = understood(item)
        after = evolve(state, recorded) if recorded else state
        entries.append(Entry(number, item, state, after, recorded, problem))
        state = after
    return tuple(entries)


def understood(stored: Stored) -> tuple[Recorded | None, str | None]:
    """The event as this program understands it, or why it does not."""
    try:
        return stored.recorded(), None
    except UnknownEventError as error:
        return None, _problem(stored, error)


def _problem(stored: Stored, error: UnknownEventError) -> str:
    name = name_of(stored)
    model = EVENTS.get(name)
    found = _VERSION.search(stored.headers.get("ce-dataschema", ""))
    version = int(found[1]) if found else None
    if model is None:
        known = "this MySpinBot knows no such event"
        return f"{name} version {version or '?'}: {known}; a newer one is needed to read it"
    if version is not None and version > newest(model):
        return (
            f"{name} version {version}: this MySpinBot knows up to version {newest(model)}; "
            "a newer one is needed to read it"
        )
    return str(error).splitlines()[0]


def name_of(stored: Stored) -> str:
    """The event's type name; `?` if it does not say."""
    try:
        return stored.type
    except UnknownEventError:
        return "?"


def time_of(stored: Stored) -> datetime | None:
    """When the event was told; None if it does not say, or without a zone."""
    try:
        time = datetime.fromisoformat(stored.headers.get("ce-time", ""))
    except ValueError:
        return None
    return time if time.tzinfo else None
