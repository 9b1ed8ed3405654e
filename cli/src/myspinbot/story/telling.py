"""A job's story: each event with the time before it, who told it and why; as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rich.text import Text

from myspinbot.story.gantt import MEANINGS, Mark, Row, rows, scale
from myspinbot.story.history import Entry
from myspinbot.story.pauses import Doing, Pause, pause_before, pause_until
from myspinbot.story.reasons import reason
from myspinbot.story.sentences import colour, sentence
from myspinbot.story.spans import brief, span
from myspinbot.story.summary import summary, summary_lines
from myspinbot.story.tellers import Role, Teller, teller

_WIDE = 110
_LONG_S = 1.0
_IDLE_S = 0.25
_LONG_SHARE = 0.02
_LABEL = 20
_SINCE = 9
_TOOK = 12
_GLUE = "\N{NO-BREAK SPACE}"

_STYLES = {
    Mark.QUEUED: "yellow",
    Mark.PAUSED: "yellow",
    Mark.DONE: "green",
    Mark.RUNNING: "blue",
    Mark.BROKEN: "red",
    Mark.REUSED: "cyan",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event with what the history says about it."""

    entry: Entry
    pause: Pause | None
    who: Teller
    why: str | None

    @property
    def what(self) -> str:
        """The event as a sentence; its name and a question mark if it is not understood."""
        recorded = self.entry.recorded
        return sentence(recorded.event) if recorded else f"{self.entry.type} ?"


def tell(entries: Sequence[Entry]) -> list[Told]:
    """The history, event by event."""
    told = []
    for place, entry in enumerate(entries):
        pause = pause_before(entries[place - 1], entry) if place else None
        told.append(Told(entry, pause, teller(entry), reason(entry)))
    return told


def story_text(entries: Sequence[Entry], now: datetime, width: int) -> Iterator[Text]:
    """The story in lines of at most `width` columns: events, a chart of the stages, a summary."""
    found = summary(entries, now)
    long_s = max(_LONG_S, found.active_s * _LONG_SHARE)
    columns = _Columns(width)
    day: date | None = None
    for told in tell(entries):
        if (time := told.entry.time) is not None and time.astimezone().date() != day:
            day = time.astimezone().date()
            yield Text(f"{day:%A, %d %B %Y}", "bold")
        if told.pause is not None and _shows(told.pause, long_s):
            yield from columns.pause(told.pause)
        yield from columns.event(told)
    since = pause_until(entries[-1], now)
    if since is not None and _shows(since, long_s):
        yield from columns.pause(since, " until now")
    yield from chart(entries, now, width)
    yield Text()
    for line in summary_lines(found):
        yield from (Text(part) for part in textwrap.wrap(line, width) or [""])


def _shows(pause: Pause, long_s: float) -> bool:
    if pause.doing is Doing.BACKWARDS:
        return True
    return pause.seconds >= (long_s if pause.doing is Doing.WORKING else _IDLE_S)


class _Columns:
    """Where things stand on a line."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._wide = width >= _WIDE
        self._clock = 14 if self._wide else 9
        self._who = 20 if self._wide else 7
        self._number = 6 if self._wide else 4
        self._margin = (8 if self._wide else 0) + self._number
        self._left = self._margin + self._clock + _SINCE + self._who + 2

    def event(self, told: Told) -> Iterator[Text]:
        entry = told.entry
        line = Text()
        if self._wide:
            line.append(f"{entry.sequence:>6}  ", "dim")
        line.append(f"{'#' + str(entry.number):<{self._number}}", "dim")
        time = entry.time.astimezone().strftime("%H:%M:%S.%f") if entry.time else "?"
        line.append(f"{time[: self._clock - 1 if not self._wide else 12]:<{self._clock}}")
        line.append(_since(told.pause), "yellow" if _backwards(told.pause) else "dim")
        line.append(f"{_cut(str(told.who), self._who):<{self._who}}  ", _WHO.get(told.who.role, ""))
        style = colour(entry.type) if entry.recorded else "bold yellow"
        name, colon, rest = told.what.partition(":")
        for number, part in enumerate(self._wrapped(f"{name}{colon}{rest}")):
            if number:
                yield line
                line = Text(" " * self._left)
            head = name + colon if number == 0 and part.startswith(name) else ""
            line.append(head, style)
            line.append(part[len(head) :])
        yield line
        for number, part in enumerate(self._wrapped(told.why, 2) if told.why else ()):
            arrow = "  " if number else "↳ "
            style = "dim italic" if entry.recorded else "yellow"
            yield Text(" " * self._left + arrow + part, style)

    def pause(self, pause: Pause, ending: str = "") -> Iterator[Text]:
        """A line of its own for a long time in which nothing was told."""
        backwards = pause.doing is Doing.BACKWARDS
        idle = pause.doing in (Doing.QUEUED, Doing.PAUSED, Doing.DECIDING) or backwards
        told = f"{span(pause.seconds)}{ending}: {pause.told}"
        room = max(self._width - self._margin - 2, 20)
        for part in textwrap.wrap(told, room):
            yield Text(f"{' ' * self._margin}┆ {part}", "yellow" if idle else "dim")

    def _wrapped(self, words: str, indent: int = 0) -> list[str]:
        room = max(self._width - self._left - indent, 20)
        return textwrap.wrap(words, room, break_on_hyphens=False) or [""]


_WHO = {Role.PERSON: "magenta", Role.PLANNER: "cyan", Role.RUNNER: "blue"}


def _since(pause: Pause | None) -> str:
    if pause is None:
        return " " * _SINCE
    told = brief(pause.seconds)
    return f"{told if pause.seconds < 0 else '+' + told:<{_SINCE}}"


def _backwards(pause: Pause | None) -> bool:
    return pause is not None and pause.doing is Doing.BACKWARDS


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def chart(entries: Sequence[Entry], now: datetime, width: int) -> Iterator[Text]:
    """The stages against time, with a legend; nothing if the job has no stages yet."""
    state = entries[-1].after
    if not state.stages:
        return
    room = max(width - _LABEL - _TOOK, 10)
    along = scale(entries, now, room)
    drawn = list(rows(state, along, now))
    yield Text()
    total = span(along.seconds)
    yield Text(f"{'':<{_LABEL}}0 s{total:>{room - 3}}", "dim")
    seen: dict[Mark, None] = {}
    for row in drawn:
        yield _row(row)
        seen.update(dict.fromkeys(row.cells))
    legend = (
        f"{mark} {told}".replace(" ", _GLUE) for mark, told in MEANINGS.items() if mark in seen
    )
    for part in textwrap.wrap("   ".join(legend), width - _LABEL, break_on_hyphens=False):
        yield Text(" " * _LABEL + part.replace(_GLUE, " "), "dim")


def _row(row: Row) -> Text:
    line = Text(f"{_cut(row.stage, _LABEL - 2):<{_LABEL}}")
    for mark in row.cells:
        line.append(mark, _STYLES.get(mark, "dim"))
    line.append("" if row.seconds is None else f"  {span(row.seconds)}")
    return line


def story_document(entries: Sequence[Entry], now: datetime) -> dict[str, Any]:
    """The same as JSON: durations in seconds, what a pause was spent on by name."""
    state = entries[-1].after
    found = summary(entries, now)
    along = scale(entries, now, 1)
    return {
        "jobId": state.job,
        "status": str(state.status),
        "events": [_event(told) for told in tell(entries)],
        "stages": [
            {
                "id": row.stage,
                "status": str(state.stages[row.stage].status),
                "reusedFrom": state.stages[row.stage].reused_from,
                "workedS": row.seconds,
                "attempts": [
                    attempt.model_dump(mode="json", by_alias=True, exclude_none=True)
                    for attempt in state.stages[row.stage].attempts
                ],
            }
            for row in rows(state, along, now)
        ],
        "summary": {
            "activeS": found.active_s,
            "spentS": {str(doing): length for doing, length in found.seconds.items()},
            "stages": found.stages,
            "attempts": found.attempts,
            "failedAttempts": found.failed_attempts,
            "events": found.events,
            "unknownEvents": found.unknown_events,
            "bytes": found.bytes,
            "tellers": {str(role): list(names) for role, names in found.tellers.items()},
        },
    }


def _event(told: Told) -> dict[str, Any]:
    entry, pause = told.entry, told.pause
    return {
        "number": entry.number,
        "sequence": entry.sequence,
        "time": entry.stored.headers.get("ce-time"),
        "type": entry.type,
        "sinceS": pause.seconds if pause else None,
        "meanwhile": {"doing": str(pause.doing), "told": pause.told} if pause else None,
        "who": {"role": str(told.who.role), "name": told.who.name},
        "what": told.what,
        "why": told.why,
        "understood": entry.recorded is not None,
        "effective": entry.effective,
    }
