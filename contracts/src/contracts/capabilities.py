"""What can be done: runners and planners announce it, and the merge of the live ones is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts import subjects
from contracts.base import Contract, Id, Name, Timestamp
from contracts.commands import Lane
from contracts.events import JobType, Quality
from contracts.graph import Graph


class Weights(Contract):
    """The model weights that an engine needs and that are not part of the installation."""

    name: str
    size_bytes: int
    licence: str
    how_to_get: str


class Base(Contract):
    """The model that an engine starts from."""

    title: str
    size_bytes: int
    licence: str


class EngineManifest(Contract):
    """One way of doing one kind of stage, as a runner has it."""

    kind: Name
    engine: Name
    version: str = Field(description="changes when results change: part of what reuse compares")
    title: str
    lane: Lane
    qualities: tuple[Quality, ...]
    params_schema: dict[str, Any] = Field(description="JSON Schema of its parameters")
    presets: dict[Quality, dict[str, Any]] = Field(
        default_factory=dict, description="parameters that a quality stands for"
    )
    typical_s: dict[Quality, float] = Field(
        default_factory=dict,
        description="seconds that it took where it was measured; a first guess until there are own",
    )
    available: bool = True
    missing: tuple[Weights, ...] = ()
    base: Base | None = None


class Device(Contract):
    """A processor that stages run on."""

    name: str = Field(description="`cuda:0`, `mps` or `cpu`")
    title: str
    memory_bytes: int


class RunnerManifest(Contract):
    """A live runner, its devices and its engines."""

    version: Literal[1] = 1
    runner: Id
    devices: tuple[Device, ...]
    engines: tuple[EngineManifest, ...]
    busy: Annotated[int, Field(ge=0, description="stages running now")] = 0
    announced_at: Timestamp

    @property
    def subject(self) -> str:
        """Where it is announced."""
        return subjects.runner(self.runner)

    @property
    def essence(self) -> object:
        """What makes one announcement differ from the last in substance."""
        return (self.devices, self.engines)


class JobOffer(Contract):
    """One way of asking for a job: what must come with it, and the stages that follow."""

    type: JobType
    needs: tuple[Name, ...] = Field(description="inputs without which it cannot be done")
    may_have: tuple[Name, ...] = Field(description="inputs that add to it")
    graph: Graph = Field(description="what is run when every input is there")


class PlannerManifest(Contract):
    """A live planner and the jobs that it knows how to plan."""

    version: Literal[1] = 1
    planner: Id
    offers: tuple[JobOffer, ...]
    runner_grace_s: float = Field(description="how long a stage waits for a runner that can do it")
    announced_at: Timestamp

    @property
    def subject(self) -> str:
        """Where it is announced."""
        return subjects.planner(self.planner)

    @property
    def essence(self) -> object:
        """What makes one announcement differ from the last in substance."""
        return self.offers


class Capabilities(Contract):
    """The merge of all live runners and planners."""

    runners: tuple[RunnerManifest, ...]
    kinds: dict[Name, tuple[EngineManifest, ...]]
    jobs: tuple[JobOffer, ...]


def merge(
    runners: Iterable[RunnerManifest], planners: Iterable[PlannerManifest] = ()
) -> Capabilities:
    """All engines by kind, and all jobs that can be planned.

    Where several runners have an engine, an available one is listed; planners of one
    installation offer the same, so the first speaks for all.
    """
    ordered = tuple(sorted(runners, key=lambda manifest: manifest.runner))
    merged: dict[tuple[str, str], EngineManifest] = {}
    for manifest in ordered:
        for engine in manifest.engines:
            key = (engine.kind, engine.engine)
            if key not in merged or (engine.available and not merged[key].available):
                merged[key] = engine
    kinds: dict[str, tuple[EngineManifest, ...]] = {}
    for (kind, _), engine in sorted(merged.items()):
        kinds[kind] = (*kinds.get(kind, ()), engine)
    jobs = next((planner.offers for planner in planners), ())
    return Capabilities(runners=ordered, kinds=kinds, jobs=jobs)
