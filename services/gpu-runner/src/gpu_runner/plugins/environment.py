"""The environment of a plug-in: an interpreter with libraries of its own, which nobody else has.

`environment.toml` says what belongs into it. It lies in the plug-in's folder, or above the folders
of several plug-ins that share it, as those of one engine for several kinds of stages do.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from contracts.base import Name
from contracts.capabilities import Weights
from pydantic import Field, StringConstraints

from gpu_runner.plugins.table import ManifestError, Table, Title, Word, load

FILE = "environment.toml"
PLUGIN = "plugin.toml"
FOLDER = ".venv"
WORD = "{environment}"
"""Stands for its interpreter in a plug-in's command."""
_MADE = "made.json"


class Contents(Table):
    """`environment.toml`. Each field is explained in docs/plugins.md."""

    name: Name
    title: Title
    licence: Title
    torch: Annotated[str, StringConstraints(pattern=r"^[0-9.]+$")] | None = None
    requirements: Word = "requirements.txt"
    download_bytes: int = Field(ge=0)
    disk_bytes: int = Field(ge=0)
    check: tuple[Word, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Environment:
    """What a folder's `environment.toml` asks for, made there or not."""

    root: Path
    contents: Contents

    @property
    def folder(self) -> Path:
        """Where the environment is, once it is made."""
        return self.root / FOLDER

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """The lock: each package with its version and hashes."""
        return self.root / self.contents.requirements

    @property
    def recipe(self) -> str:
        """Digest of all that it is made of, so a change of any of it is seen."""
        parts = (sys.version, self.contents.torch or "", self.requirements.read_text("utf-8"))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def made(self) -> bool:
        """Whether all of it is there, made of what is asked for now."""
        try:
            told = json.loads((self.folder / _MADE).read_bytes())
            return bool(told["recipe"] == self.recipe) and self.interpreter.exists()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def note_made(self) -> None:
        """Write down, as the last thing, that all of it is there."""
        (self.folder / _MADE).write_text(json.dumps({"recipe": self.recipe}), encoding="utf-8")

    def lacking(self) -> Weights:
        """What a runner announces where it is not made."""
        return Weights(
            name="its environment",
            size_bytes=self.contents.disk_bytes,
            licence=self.contents.licence,
            how_to_get=f"myspinbot engines install {self.contents.name}, then restart the runner",
        )

    def check(self) -> None:
        """ManifestError if its lock is not there, or nothing uses it."""
        if not self.requirements.is_file():
            raise ManifestError(f"there is no {self.contents.requirements}")
        if not self.plugins():
            raise ManifestError(f"there is no {PLUGIN}")

    def plugins(self) -> list[Path]:
        """The folders of the plug-ins that use it."""
        return list(plugins_in(self.root))


def plugins_in(folder: Path) -> Iterator[Path]:
    """The plug-in that a folder is, or those that share the environment in it."""
    if (folder / PLUGIN).exists():
        yield folder
    elif (folder / FILE).exists():
        yield from (each for each in sorted(folder.iterdir()) if (each / PLUGIN).exists())


def of(plugin: Path) -> Environment | None:
    """The environment that a plug-in's folder names, None if it has none; ManifestError."""
    for root in (plugin, plugin.parent):
        if (root / FILE).exists():
            return at(root)
    return None


def at(root: Path) -> Environment:
    """The environment that a folder's file describes; ManifestError if it is not right."""
    return Environment(root, load(root / FILE, Contents))
