"""A plug-in's manifest: what `plugin.toml` says, and what is lacking before it can be used."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from contracts.base import Name
from contracts.capabilities import Weights
from contracts.commands import Lane
from contracts.events import Quality
from pydantic import Field, PositiveFloat, StringConstraints

from gpu_runner.models.errors import ModelError
from gpu_runner.models.manifest import find
from gpu_runner.plugins import environment, parameters, table
from gpu_runner.plugins.environment import Environment
from gpu_runner.plugins.table import ManifestError, Table, Title, Word

__all__ = ["FILE", "PROTOCOL", "Manifest", "ManifestError", "Plugin", "load", "read_table"]

FILE = environment.PLUGIN
PROTOCOL: Literal[1] = 1


class NeededWeights(Table):
    """What somebody must get first: `files`, relative to the plug-in, absolute or with `~`."""

    name: Title
    size_bytes: int = Field(ge=0)
    licence: Title
    how_to_get: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    files: tuple[Word, ...] = Field(min_length=1)


class Manifest(Table):
    """`plugin.toml`. Each field is explained in docs/plugins.md."""

    protocol: Literal[1]
    kind: Name
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.+_-]{1,40}$")]
    title: Title
    lane: Lane
    licence: Title
    command: tuple[Word, ...] = Field(min_length=1)
    parameters: dict[str, Any] | str = Field(default_factory=dict)
    presets: dict[Quality, dict[str, Any]] = Field(default_factory=dict)
    qualities: tuple[Quality, ...] = ()
    typical_s: dict[Quality, PositiveFloat] = Field(default_factory=dict)
    checkpoints: bool = False
    deterministic: bool = False
    model: str | None = None
    weights: tuple[NeededWeights, ...] = ()
    setup: Annotated[str, StringConstraints(max_length=500)] = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in whose manifest is right. `schema` is the JSON Schema of its parameters.

    `environment` is what its program runs in, if that is one of its own.
    """

    folder: Path
    manifest: Manifest
    schema: dict[str, Any]
    environment: Environment | None = None

    def command(self) -> list[str]:
        """The program and its arguments, with a folder in front of what is relative to it.

        Raises ManifestError if there is no such program.
        """
        own = self.environment
        if own is not None and not own.made:
            raise ManifestError("its environment is not installed")
        words = [self._placed(word) for word in self.manifest.command]
        # Without a slash it is a program of the machine, as for every shell.
        first = str(self.folder / words[0]) if "/" in words[0] else words[0]
        found = shutil.which(first)
        if found is None:
            raise ManifestError(f"there is no program {self.manifest.command[0]}")
        return [found, *words[1:]]

    def lacking(self) -> tuple[Weights, ...]:
        """What must be got before it can run, as it is now."""
        lacks = [
            Weights(
                name=each.name,
                size_bytes=each.size_bytes,
                licence=each.licence,
                how_to_get=each.how_to_get,
            )
            for each in self.manifest.weights
            if not all((self.folder / Path(file).expanduser()).exists() for file in each.files)
        ]
        try:
            self.command()
        except ManifestError as error:
            own = self.environment
            lacks.append(
                unusable(str(error), self.manifest.licence, self.manifest.setup)
                if own is None or own.made
                else own.lacking()
            )
        return tuple(lacks)

    def _placed(self, word: str) -> str:
        """A word of the manifest with places for their names."""
        places = {
            "{python}": sys.executable,
            "{plugin}": str(self.folder),
        }
        if self.environment is not None:
            places[environment.WORD] = str(self.environment.interpreter)
        for name, place in places.items():
            word = word.replace(name, place)
        return word


def unusable(reason: str, licence: str, remedy: str = "") -> Weights:
    """What is announced to be missing of a plug-in that could not even start."""
    return Weights(
        name=f"a working plug-in: {reason}",
        size_bytes=0,
        licence=licence,
        how_to_get=remedy or "follow the plug-in's own instructions, then restart the runner",
    )


def read_table(folder: Path) -> dict[str, Any]:
    """What `plugin.toml` of a folder says, unchecked; ManifestError if it cannot be read."""
    return table.read(folder / FILE)


def load(folder: Path) -> Plugin:
    """The plug-in of a folder.

    Raises:
        ManifestError: its manifest cannot be read, or says what cannot be.

    """
    folder = folder.absolute()
    manifest = table.load(folder / FILE, Manifest)
    try:
        schema = parameters.schema_of(folder, manifest.parameters)
        for quality, preset in manifest.presets.items():
            if wrong := parameters.faults(schema, preset):
                raise ManifestError(f"{FILE}: the preset {quality} is not valid: {wrong}")
        if manifest.model is not None:
            find(manifest.model)
    except (parameters.SchemaError, ModelError) as error:
        raise ManifestError(str(error)) from error
    return Plugin(folder, manifest, schema, environment.of(folder))
