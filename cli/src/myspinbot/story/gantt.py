"""The stages of a job against time, as text: one row a stage, with its attempts one after another.

Time in which a job was ended and nobody wanted anything is cut out, so that a retry days later
leaves the rest readable; a broken line stands where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.job import AttemptState, JobState, Outcome, StageState, StageStatus

from myspinbot.story.history import Entry

Span = tuple[datetime, datetime]


class Mark(StrEnum):
    """What a cell of the chart says."""

    NOTHING = " "
    QUEUED = "░"
    PAUSED = "·"
    DONE = "█"
    RUNNING = "▓"
    BROKEN = "▒"
    REUSED = "◆"
    SKIPPED = "-"
    CUT = "┊"


MEANINGS = {
    Mark.QUEUED: "in the queue",
    Mark.DONE: "at work",
    Mark.RUNNING: "still at work",
    Mark.BROKEN: "failed or stopped",
    Mark.PAUSED: "pause before a retry",
    Mark.REUSED: "taken over",
    Mark.SKIPPED: "skipped",
    Mark.CUT: "time cut out",
}
_OUTCOMES = {
    Outcome.COMPLETED: Mark.DONE,
    Outcome.RUNNING: Mark.RUNNING,
    Outcome.FAILED: Mark.BROKEN,
    Outcome.STOPPED: Mark.BROKEN,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A stage: its cells from left to right, and the seconds that its attempts were at work."""

    stage: str
    cells: tuple[Mark, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Scale:
    """Times as cells: only those within the job's active spans, one after another."""

    spans: tuple[Span, ...]
    width: int

    @property
    def seconds(self) -> float:
        """The length of all spans."""
        return sum((end - begin).total_seconds() for begin, end in self.spans)

    def cell(self, time: datetime) -> int:
        """The cell of a time; a time outside of every span is at the nearest end."""
        return min(self.edge(time), self.width - 1)

    def edge(self, time: datetime) -> int:
        """How many whole cells are before a time."""
        return int(self._seconds_to(time) / (self.seconds or 1.0) * self.width)

    def cuts(self) -> set[int]:
        """The cells in which one span follows another."""
        return {self.cell(begin) for begin, _ in self.spans[1:]}

    def _seconds_to(self, time: datetime) -> float:
        passed = 0.0
        for begin, end in self.spans:
            passed += min(max((time - begin).total_seconds(), 0.0), (end - begin).total_seconds())
        return passed


def scale(entries: Sequence[Entry], now: datetime, width: int) -> Scale:
    """The scale of a job: from each time it was asked for to when it ended, or until now."""
    spans: list[Span] = []
    begin: datetime | None = None
    last: datetime | None = None
    for entry in entries:
        if entry.time is None:
            continue
        last = max(last, entry.time) if last else entry.time
        if entry.before.status.ended and not entry.after.status.ended:
            begin = last
        if begin is None and not spans:
            begin = last
        if begin is not None and entry.after.status.ended:
            spans.append((begin, last))
            begin = None
    if begin is not None and last is not None:
        # A clock elsewhere may be ahead of ours.
        spans.append((begin, max(now, last)))
    return Scale(tuple(spans), width)


def rows(state: JobState, along: Scale, now: datetime) -> Iterator[Row]:
    """A row for each stage, in the order of the work."""
    for stage_id in state.graph.order() if state.graph else ():
        stage = state.stages[stage_id]
        cells = [Mark.NOTHING] * along.width
        for cell in along.cuts():
            cells[cell] = Mark.CUT
        _paint(cells, stage, along, now)
        yield Row(stage_id, tuple(cells), _worked(stage, now))


def _paint(cells: list[Mark], stage: StageState, along: Scale, now: datetime) -> None:
    previous_end: datetime | None = None
    for attempt in stage.attempts:
        if previous_end is not None:
            _fill(cells, along, (previous_end, attempt.scheduled_at), Mark.PAUSED)
        begin, end = attempt.started_at, attempt.ended_at or now
        _fill(cells, along, (attempt.scheduled_at, begin or end), Mark.QUEUED)
        previous_end = end
    # Work comes last, so that a short attempt is seen among long pauses.
    for attempt in stage.attempts:
        if attempt.started_at is not None:
            mark = _OUTCOMES.get(attempt.outcome, Mark.RUNNING)
            _fill(cells, along, (attempt.started_at, attempt.ended_at or now), mark, least=1)
    if stage.status is StageStatus.WAITING and previous_end is not None:
        _fill(cells, along, (previous_end, now), Mark.PAUSED, least=1)
    if not stage.attempts and stage.ended_at is not None:
        mark = Mark.REUSED if stage.reused_from else Mark.SKIPPED
        cells[along.cell(stage.ended_at)] = mark


def _fill(cells: list[Mark], along: Scale, span: Span, mark: Mark, least: int = 0) -> None:
    first = along.cell(span[0])
    beyond = max(along.edge(span[1]), first + least)
    for place in range(first, min(beyond, along.width)):
        if cells[place] is not Mark.CUT:
            cells[place] = mark


def _worked(stage: StageState, now: datetime) -> float | None:
    lengths = [length for each in stage.attempts if (length := worked(each, now)) is not None]
    return sum(lengths) if lengths else None


def worked(attempt: AttemptState, now: datetime) -> float | None:
    """The seconds that an attempt has been at work; None if it never began."""
    if attempt.started_at is None:
        return None
    return max(((attempt.ended_at or now) - attempt.started_at).total_seconds(), 0.0)
