"""TOML files that authors of plug-ins write, as models that refuse what they do not name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

LARGEST = 1 << 20

Title = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Word = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]


class ManifestError(Exception):
    """A plug-in cannot be used as it stands. The message says why, and names no path."""


class Table(BaseModel):
    """A table of such a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Table)


def read(file: Path) -> dict[str, Any]:
    """What a file says, unchecked; ManifestError if it cannot be read."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ManifestError(f"{file.name} cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST:
        raise ManifestError(f"{file.name} is larger than 1 MiB")
    try:
        return tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{file.name} is no TOML: {error}") from error


def load(file: Path, model: type[Model]) -> Model:
    """A file as a model; ManifestError if it cannot be read, or says what cannot be."""
    try:
        return model.model_validate(read(file))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:8]
        )
        raise ManifestError(f"{file.name}: {told}") from error
