"""Where engines that can be installed come from, and where they are once they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from gpu_runner.faults import Fault, ToldError
from gpu_runner.plugins import environment
from gpu_runner.plugins.environment import Environment
from gpu_runner.plugins.found import SETTING, engines_folder
from gpu_runner.plugins.table import ManifestError

NOT_COPIED = ("__pycache__", ".*")
"""What is no part of an engine; its environment among it."""


class State(StrEnum):
    """How an engine is."""

    INSTALLED = "installed"
    OUTDATED = "outdated"
    PARTIAL = "partial"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of engines of a data folder: what is in it without a dot is whole."""

    root: Path

    def folder(self, name: str) -> Path:
        """Where an engine is once it is whole."""
        return self.root / name

    def partial(self, name: str) -> Path:
        """Where it grows; the runner passes over names with a dot."""
        return self.root / f".{name}.partial"

    def lock(self, name: str) -> Path:
        """What keeps two from installing it at once."""
        return self.root / f".{name}.lock"

    def state(self, wanted: Environment) -> State:
        """How an engine is, compared with its source."""
        name = wanted.contents.name
        if (folder := self.folder(name)).exists():
            try:
                same = environment.at(folder).made and _digest(folder) == _digest(wanted.root)
            except ManifestError:
                same = False
            return State.INSTALLED if same else State.OUTDATED
        return State.PARTIAL if self.partial(name).exists() else State.ABSENT


def shelf_of(settings: Mapping[str, str]) -> Shelf:
    """The shelf of the local system."""
    return Shelf(engines_folder(settings))


def known(settings: Mapping[str, str]) -> dict[str, Environment]:
    """What can be installed by its name: what the project brings, and what the user named."""
    named = [
        Path(each).expanduser() for each in settings.get(SETTING, "").split(os.pathsep) if each
    ]
    found: dict[str, Environment] = {}
    for place in (*named, *_shipped(), engines_folder(settings)):
        for root in _roots(place):
            try:
                each = environment.at(root)
            except ManifestError:
                # It is named when somebody asks for it by its folder.
                continue
            found.setdefault(each.contents.name, each)
    return found


def source(named: str, settings: Mapping[str, str]) -> Environment:
    """The engine of a name, or of a folder, which has a slash.

    Raises:
        ToldError: there is none, or what describes it is not right.

    """
    if "/" in named:
        try:
            return environment.at(Path(named).expanduser().absolute())
        except ManifestError as error:
            raise ToldError(
                f"{named} is no engine that can be installed: {error}",
                f"Name a folder with {environment.FILE} in it",
                Fault.ABSENT,
            ) from error
    engines = known(settings)
    if named not in engines:
        raise ToldError(
            f"there is no engine {named} that can be installed",
            f"There are {', '.join(sorted(engines)) or 'none'}; or name a folder, with a slash",
            Fault.ABSENT,
        )
    return engines[named]


def _shipped() -> Iterator[Path]:
    """The engines of the project's repository, if this program runs from there."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "plugins" / "audiogram").is_dir():
            yield parent / "plugins"


def _roots(place: Path) -> Iterator[Path]:
    if (place / environment.FILE).exists():
        yield place
    elif place.is_dir():
        yield from (
            each
            for each in sorted(place.iterdir())
            if (each / environment.FILE).exists() and not each.name.startswith(".")
        )


def _digest(root: Path) -> str:
    """Of an engine's own files."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        names = path.relative_to(root)
        if path.is_file() and not any(
            fnmatch(part, pattern) for part in names.parts for pattern in NOT_COPIED
        ):
            digest.update(f"{names}/{path.stat().st_size}/".encode() + path.read_bytes())
    return digest.hexdigest()
