"""The engines that this package brings: which stage each one does, and where its code is.

Entries are data, so the runner can announce its engines without importing what they compute
with; only the child process that runs a stage imports its `module`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from contracts.capabilities import EngineManifest, Weights
from contracts.commands import Lane
from contracts.events import Quality
from pydantic import BaseModel

from gpu_runner.models.weights import base_of, missing, version_of

_ALL = (Quality.DRAFT, Quality.STANDARD, Quality.BEST)


@dataclass(frozen=True, slots=True)
class Engine:
    """One way of doing one kind of stage.

    `module` holds `run(context) -> StageResult`; `params_module` holds the pydantic model
    `params_class` and imports nothing heavy. `version` changes whenever results would, as
    it decides whether an earlier result may be reused. `typical_s` is by quality: seconds that it
    took where it was measured. `checkpoints` tells that `run` heeds
    `StageContext.checkpoint_wanted`, so that a runner that stops may ask for one; `spreads`, that
    `run` may be one of several processes on as many devices: see `gpu_runner.crew`. One that is
    `light` loads nothing that computes, is done in a blink, and leaves its process as it was, so
    that the next may run in it. `weights` names
    the model that it starts from: see `gpu_runner.models`. Of a plug-in, `plugin` is its folder,
    `schema` that of its parameters, and `lacking` tells what it cannot run without; `variant` tells
    one file of the operator's from another, as results differ with it. An engine with no
    `qualities` is only used by name, or where there is no other.
    """

    kind: str
    name: str
    version: str
    title: str
    lane: Lane
    module: str
    params_module: str
    params_class: str = "Params"
    presets: Mapping[Quality, Mapping[str, Any]] = field(default_factory=dict)
    typical_s: Mapping[Quality, float] = field(default_factory=dict)
    checkpoints: bool = False
    spreads: bool = False
    light: bool = False
    weights: str | None = None
    qualities: tuple[Quality, ...] = _ALL
    plugin: Path | None = None
    schema: Mapping[str, Any] | None = None
    lacking: Callable[[], tuple[Weights, ...]] = tuple
    variant: Callable[[], str] = str

    def params(self) -> type[BaseModel]:
        """The model of its parameters."""
        model: type[BaseModel] = getattr(import_module(self.params_module), self.params_class)
        return model

    def manifest(self) -> EngineManifest:
        """What a runner announces of it; whether its weights are there is looked up each time."""
        lacks = self.lacking()
        if self.weights and (one := missing(self.weights)):
            lacks = (*lacks, one)
        version = version_of(self.version, self.weights) if self.weights else self.version
        return EngineManifest(
            kind=self.kind,
            engine=self.name,
            version="+".join(filter(None, (version, self.variant()))),
            title=self.title,
            lane=self.lane,
            qualities=self.qualities,
            params_schema=_schema(self.params()) if self.schema is None else dict(self.schema),
            presets={quality: dict(preset) for quality, preset in self.presets.items()},
            typical_s=dict(self.typical_s),
            available=not lacks,
            missing=lacks,
            base=base_of(self.weights) if self.weights else None,
        )


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Made once, as a runner announces itself every few seconds."""
    return model.model_json_schema()
