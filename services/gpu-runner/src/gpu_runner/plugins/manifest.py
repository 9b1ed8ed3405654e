"""A plug-in's manifest: what `plugin.toml` says, and what is lacking before it can be used."""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from contracts.base import Name
from contracts.capabilities import Weights
from contracts.commands import Lane
from contracts.events import Quality
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, StringConstraints, ValidationError

from gpu_runner.plugins import parameters

FILE = "plugin.toml"
PROTOCOL: Literal[1] = 1
_LARGEST = 1 << 20

_Title = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_Word = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]


class ManifestError(Exception):
    """A plug-in cannot be used as it stands. The message says why, and names no path."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NeededWeights(_Table):
    """What somebody must get first: `files`, relative to the plug-in, absolute or with `~`."""

    name: _Title
    size_bytes: int = Field(ge=0)
    licence: _Title
    how_to_get: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    files: tuple[_Word, ...] = Field(min_length=1)


class Manifest(_Table):
    """`plugin.toml`. Each field is explained in docs/plugins.md."""

    protocol: Literal[1]
    kind: Name
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.+_-]{1,40}$")]
    title: _Title
    lane: Lane
    licence: _Title
    command: tuple[_Word, ...] = Field(min_length=1)
    parameters: dict[str, Any] | str = Field(default_factory=dict)
    presets: dict[Quality, dict[str, Any]] = Field(default_factory=dict)
    qualities: tuple[Quality, ...] = ()
    typical_s: dict[Quality, PositiveFloat] = Field(default_factory=dict)
    checkpoints: bool = False
    deterministic: bool = False
    weights: tuple[NeededWeights, ...] = ()
    setup: Annotated[str, StringConstraints(max_length=500)] = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in whose manifest is right. `schema` is the JSON Schema of its parameters."""

    folder: Path
    manifest: Manifest
    schema: dict[str, Any]

    def command(self) -> list[str]:
        """The program and its arguments, with a folder in front of what is relative to it.

        Raises ManifestError if there is no such program.
        """
        words = [
            word.replace("{python}", sys.executable).replace("{plugin}", str(self.folder))
            for word in self.manifest.command
        ]
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
            lacks.append(unusable(str(error), self.manifest.licence, self.manifest.setup))
        return tuple(lacks)


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
    try:
        raw = (folder / FILE).read_bytes()
    except OSError as error:
        raise ManifestError(f"{FILE} cannot be read: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise ManifestError(f"{FILE} is larger than 1 MiB")
    try:
        return tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{FILE} is no TOML: {error}") from error


def load(folder: Path) -> Plugin:
    """The plug-in of a folder.

    Raises:
        ManifestError: its manifest cannot be read, or says what cannot be.

    """
    folder = folder.absolute()
    try:
        manifest = Manifest.model_validate(read_table(folder))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:8]
        )
        raise ManifestError(f"{FILE}: {told}") from error
    try:
        schema = parameters.schema_of(folder, manifest.parameters)
        for quality, preset in manifest.presets.items():
            if wrong := parameters.faults(schema, preset):
                raise ManifestError(f"{FILE}: the preset {quality} is not valid: {wrong}")
    except parameters.SchemaError as error:
        raise ManifestError(str(error)) from error
    return Plugin(folder, manifest, schema)
