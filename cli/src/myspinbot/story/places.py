"""Places in a job's history as people name them: `41` in the log, `#3` in the job, or a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from myspinbot.errors import MISUSED, NOT_FOUND, CommandError
from myspinbot.moments import moment
from myspinbot.story.history import Entry

_CLOCK = re.compile(r"\d{2}:\d{2}(:\d{2}([.,]\d{1,6})?)?")
_SECONDS = re.compile(r"\d{2}:\d{2}:\d{2}")
_MILLISECONDS = re.compile(r"[.,]\d{3}(?!\d)")


def place(given: str, entries: Sequence[Entry], end: int, now: datetime) -> Entry:
    """The last event that had happened there; the log reaches to `end`.

    A time of day is meant in the course of the job. CommandError for what is no place, or one
    outside of the job's history.
    """
    given = given.strip()
    if given.startswith("#") and given[1:].isdecimal():
        return _by_number(int(given[1:]), entries)
    if given.isdecimal():
        return _by_sequence(int(given), entries, end)
    return _by_time(_time(given, entries, now), entries, now)


def _by_number(number: int, entries: Sequence[Entry]) -> Entry:
    if not 1 <= number <= len(entries):
        raise CommandError(
            f"The job has no event #{number}.", f"It has #1 to #{len(entries)}.", NOT_FOUND
        )
    return entries[number - 1]


def _by_sequence(sequence: int, entries: Sequence[Entry], end: int) -> Entry:
    first, last = entries[0].sequence, entries[-1].sequence
    if sequence < first:
        raise CommandError(
            f"At position {sequence} of the log this job was not yet asked for.",
            f"It begins at {first} and reaches to {last}.",
            NOT_FOUND,
        )
    if sequence > end:
        raise CommandError(
            f"The log has no position {sequence}: it ends at {end}.",
            f"This job reaches from {first} to {last}.",
            NOT_FOUND,
        )
    return [entry for entry in entries if entry.sequence <= sequence][-1]


def _by_time(meant: datetime, entries: Sequence[Entry], now: datetime) -> Entry:
    begin = next((entry.time for entry in entries if entry.time), None)
    if begin is not None and meant < begin:
        raise CommandError(
            f"At {_shown(meant)} this job was not yet asked for.",
            f"It began at {_shown(begin)}.",
            NOT_FOUND,
        )
    if meant > now:
        raise CommandError(
            f"{_shown(meant)} is yet to come.", "Name a time up to now, or a position.", MISUSED
        )
    found, latest = entries[0], begin
    for entry in entries:
        # Where clocks disagree, an event is not earlier than those before it in the log.
        if entry.time is not None and latest is not None:
            latest = max(latest, entry.time)
        if latest is not None and latest > meant:
            break
        found = entry
    return found


def _time(given: str, entries: Sequence[Entry], now: datetime) -> datetime:
    if _CLOCK.fullmatch(given):
        found = _of_day(given, entries, now)
    else:
        try:
            found = moment(given, now)
        except CommandError as error:
            raise CommandError(
                f"{given!r} is no place in a job's history.",
                "Give an event's number as '#3' (in quotes), its position in the log as 41, "
                "or a time as 17:30:39, 2026-11-22 17:30 or 2h for two hours ago.",
                MISUSED,
            ) from error
    return found + _rest(given)


def _rest(given: str) -> timedelta:
    """What was cut off a time of day, or of milliseconds, when it was shown: it may be meant."""
    if _MILLISECONDS.search(given):
        return timedelta(microseconds=999)
    return timedelta(microseconds=999_999) if _SECONDS.fullmatch(given) else timedelta()


def _of_day(given: str, entries: Sequence[Entry], now: datetime) -> datetime:
    """A time of day: on the first day of the job on which it does not come before the job."""
    try:
        clock = time.fromisoformat(given.replace(",", "."))
    except ValueError as error:
        raise CommandError(f"{given!r} is no time of day.", "As in 17:30:39.", MISUSED) from error
    times = [entry.time.astimezone() for entry in entries if entry.time]
    begin, last = (min(times), max(times)) if times else (now.astimezone(),) * 2
    found = _on(begin.date(), clock)
    following = _on(begin.date() + timedelta(days=1), clock)
    late = found + _rest(given) < begin
    return following if late and following <= max(last, now) else found


def _on(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock).astimezone()


def _shown(moment_: datetime) -> str:
    return moment_.astimezone().strftime("%Y-%m-%d %H:%M:%S")
