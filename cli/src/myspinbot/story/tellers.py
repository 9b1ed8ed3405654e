"""Who told an event: a person through the gateway, the planner, or a runner."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contracts import events as e
from myspinbot.story.history import Entry


class Role(StrEnum):
    """What kind of somebody it is."""

    PERSON = "person"
    PLANNER = "planner"
    RUNNER = "runner"
    OTHER = "other"


_SOURCES = {"gateway": Role.PERSON, "planner": Role.PLANNER, "gpu-runner": Role.RUNNER}


@dataclass(frozen=True, slots=True)
class Teller:
    """Somebody, with the name by which they are known: an owner or a runner's id."""

    role: Role
    name: str

    def __str__(self) -> str:
        return self.name


def teller(entry: Entry) -> Teller:
    """Who told an event, as far as its envelope, its body and the job's state say."""
    source = entry.stored.headers.get("ce-source", "?").rsplit("/", 1)[-1]
    event = entry.recorded.event if entry.recorded else None
    by = _SOURCES.get(source) or _of(event)
    if by is Role.RUNNER:
        return Teller(by, _runner(event, entry) or source)
    if by is Role.PERSON:
        return Teller(by, _person(event) or source)
    return Teller(by, source)


def _of(event: e.Event | None) -> Role:
    """The role that may tell it, where the source is not one of ours: in copies, and tests."""
    told_by = event.told_by if event else frozenset()
    if e.Teller.RUNNER in told_by:
        return Role.RUNNER
    if e.Teller.USER in told_by:
        return Role.PERSON
    return Role.OTHER


def _person(event: e.Event | None) -> str | None:
    if isinstance(event, e.JobRequested):
        return event.owner
    return getattr(event, "by", None)


def _runner(event: e.Event | None, entry: Entry) -> str | None:
    if named := getattr(event, "runner", None):
        return str(named)
    stage = entry.before.stages.get(getattr(event, "stage", ""))
    return stage.runner if stage else None
