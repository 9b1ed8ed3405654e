"""What clients are told of a job besides how it stands: its events, and lines of its stages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from contracts.base import Contract, Id, Name, Timestamp
from contracts.envelope import Recorded
from contracts.stagelog import Level
from eventlog.stagelogs import StoredLine
from pydantic import Field


class TimelineEvent(Contract):
    """One event of the log."""

    sequence: int = Field(description="its place in the log")
    id: str
    type: str = Field(description="such as `StageCompleted`")
    time: Timestamp
    source: str = Field(description="the part of the system that told it")
    stage: Name | None
    attempt: int | None
    data: dict[str, Any] = Field(description="the event as it stands in the log")


class LogLine(Contract):
    """One line that an attempt wrote while it ran."""

    id: int = Field(description="its place among all lines; give it as `after` to go on")
    stage: Name
    attempt: int
    at: Timestamp
    level: Level
    message: str
    step: int | None
    values: dict[Name, float] = Field(description="what was measured, such as `loss` and `lr`")


@dataclass(frozen=True, slots=True)
class Told:
    """An event or line as JSON, made once for all who listen. `place` is its sequence or id."""

    job: Id
    place: int
    text: str


def event_of(recorded: Recorded) -> TimelineEvent:
    """An event as the API shows it."""
    event = recorded.event
    attempt = getattr(event, "attempt", getattr(event, "failed_attempt", None))
    return TimelineEvent(
        sequence=recorded.sequence,
        id=recorded.id,
        type=recorded.type,
        time=recorded.time,
        source=recorded.source,
        stage=getattr(event, "stage", None),
        attempt=attempt,
        data=json.loads(event.to_json()),
    )


def line_of(stored: StoredLine) -> LogLine:
    """A line as the API shows it."""
    line = stored.line
    return LogLine(
        id=stored.sequence,
        stage=line.stage,
        attempt=line.attempt,
        at=line.at,
        level=line.level,
        message=line.message,
        step=line.step,
        values=line.values,
    )


def told_event(recorded: Recorded) -> Told:
    """An event, ready to be sent."""
    text = event_of(recorded).model_dump_json(by_alias=True)
    return Told(recorded.job, recorded.sequence, text)


def told_line(stored: StoredLine) -> Told:
    """A line, ready to be sent."""
    return Told(stored.line.job, stored.sequence, line_of(stored).model_dump_json(by_alias=True))
