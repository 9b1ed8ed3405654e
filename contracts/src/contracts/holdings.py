"""Which objects of the store a history speaks of, and which of them must still be there.

A deleted job's objects are erased unless another job uploaded them, made them or took them over.
What a request borrows from a profile belongs to the job that made the profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from contracts import events as e
from contracts.artifacts import Artifact, Artifacts


def objects_of(event: e.Event) -> Iterator[tuple[Artifact, bool]]:
    """The objects that an event is the first to name in its job, and whether the job holds them."""
    match event:
        case e.JobRequested():
            for name, several in event.inputs.items():
                for artifact in several:
                    yield artifact, name not in e.PROFILE_INPUTS
        case e.ConsentGiven():
            yield event.statement, True
        case e.StageReused() | e.StageCompleted():
            yield from ((artifact, True) for artifact in _all(event.outputs))
        case e.StageCheckpointed() | e.StageSampled():
            yield event.artifact, True


def _all(artifacts: Artifacts) -> Iterator[Artifact]:
    for several in artifacts.values():
        yield from several


@dataclass(slots=True)
class _Held:
    artifact: Artifact
    holders: list[str] = field(default_factory=list)
    named_by: str = ""


class Holdings:
    """The objects of some jobs, by key. Grows with their number, not with that of events."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, job: str, event: e.Event) -> None:
        """Take in an event of a job."""
        for artifact, holds in objects_of(event):
            held = self._held.setdefault(artifact.key, _Held(artifact, named_by=job))
            if holds and job not in held.holders:
                held.holders.append(job)

    def named(self) -> Iterator[tuple[Artifact, str]]:
        """Every object, and a job that names it."""
        for held in self._held.values():
            yield held.artifact, held.named_by

    def borrowed(self) -> Iterator[tuple[Artifact, str]]:
        """Every object that none of these jobs holds, and a job that names it."""
        for held in self._held.values():
            if not held.holders:
                yield held.artifact, held.named_by

    def wanted(self, is_deleted: Callable[[str], bool]) -> Iterator[tuple[Artifact, str]]:
        """Every object that must be there, and a job that holds it and is not deleted."""
        for held in self._held.values():
            holder = next((job for job in held.holders if not is_deleted(job)), None)
            if holder is not None:
                yield held.artifact, holder
