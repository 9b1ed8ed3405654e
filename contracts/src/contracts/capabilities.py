"""What runners can do: each announces a manifest, and the merge of the live ones is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.base import Contract, Id, Name, Timestamp
from contracts.commands import Lane
from contracts.events import Quality


class Weights(Contract):
    """The model weights that an engine needs and that are not part of the installation."""

    name: str
    size_bytes: int
    licence: str
    how_to_get: str


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
    available: bool = True
    missing: tuple[Weights, ...] = ()


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


class Capabilities(Contract):
    """The merge of all live runners."""

    runners: tuple[RunnerManifest, ...]
    kinds: dict[Name, tuple[EngineManifest, ...]]


def merge(runners: Iterable[RunnerManifest]) -> Capabilities:
    """All engines by kind; where several runners have one, an available one is listed."""
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
    return Capabilities(runners=ordered, kinds=kinds)
