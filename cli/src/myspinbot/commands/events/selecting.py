"""Events as they are selected at the command line: by type, and from where to where."""

from __future__ import annotations

from datetime import datetime

from contracts.events import EVENTS

from myspinbot.errors import MISUSED, CommandError
from myspinbot.moments import moment


def event_type(given: str) -> str:
    """The type's name as it is written; CommandError if there is none."""
    for name in EVENTS:
        if name.lower() == given.lower():
            return name
    raise CommandError(
        f"There is no event type {given}.", f"It is one of {', '.join(sorted(EVENTS))}.", MISUSED
    )


def position(given: str, now: datetime) -> int | datetime:
    """A position in the log, or a time; CommandError if it is neither."""
    return int(given) if given.strip().isdecimal() else moment(given, now)
