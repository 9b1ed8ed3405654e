"""Times as people give them at the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from myspinbot.errors import MISUSED, CommandError

_AGO = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(given: str, now: datetime) -> datetime:
    """The time that is meant by `7d`, `2026-11-22` or `2026-11-22T10:00`, where we are.

    CommandError if it is none, or beyond what a calendar holds.
    """
    try:
        if ago := _AGO.fullmatch(given.strip().lower()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(given.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise CommandError(
            f"{given!r} is no time.",
            "Say how long ago, as in 30m, 12h, 7d or 2w, or when, as in 2026-11-22 10:00.",
            MISUSED,
        ) from error
