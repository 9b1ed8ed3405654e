"""The lock file beside weights: what was pulled, to the byte, from where and under which terms.

It makes weights checkable without the hub, also where they were copied to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from contracts.base import Contract, Sha256, Timestamp
from pydantic import AfterValidator, Field, ValidationError

from gpu_runner.models.digest import Hasher, read_into
from gpu_runner.models.errors import ModelError
from gpu_runner.models.licence import Acceptance

LOCK_FILE = "myspinbot-model.json"


def inside(path: str) -> str:
    """A path that stays inside of its folder; ValueError for any other."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError(f"{path!r} does not stay inside of the model's folder")
    return path


class LockedFile(Contract):
    """A file, by its path below the model's folder."""

    path: Annotated[str, AfterValidator(inside)]
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Lock(Contract):
    """All that was pulled."""

    version: Literal[1] = 1
    model: str
    endpoint: str = Field(description="address of the hub")
    repository: str
    revision: str = Field(description="commit of the repository")
    licence: str
    licence_url: str
    acceptance: Acceptance | None = None
    pulled_at: Timestamp
    files: tuple[LockedFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


class Damage(Contract):
    """A file that is not as it was pulled."""

    path: str
    what: Literal["missing", "size", "content"]


def read_lock(folder: Path) -> Lock:
    """What is locked in a folder; ModelError if it has no lock file that can be read."""
    path = folder / LOCK_FILE
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(
            f"{folder} is not a model that was pulled: it has no {LOCK_FILE}",
            "Move it away and pull the model, or name the folder of a model",
        ) from error
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path} cannot be read", "Remove the folder and pull the model again"
        ) from error


def write_whole(path: Path, content: str) -> None:
    """Write a file that appears when it is whole and on the disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def lacking(folder: Path, lock: Lock) -> Iterator[Damage]:
    """Files that are missing or of a wrong size: quick, as nothing is read."""
    for file in lock.files:
        try:
            size = (folder / file.path).stat().st_size
        except OSError:
            yield Damage(path=file.path, what="missing")
            continue
        if size != file.size_bytes:
            yield Damage(path=file.path, what="size")


def damages(folder: Path, lock: Lock) -> Iterator[Damage | int]:
    """Every damage, found by reading all files; and between them, how many bytes were read."""
    known = {damage.path: damage for damage in lacking(folder, lock)}
    for file in lock.files:
        if file.path in known:
            yield known[file.path]
            continue
        hasher = Hasher(file.size_bytes)
        yield read_into(hasher, folder / file.path)
        if hasher.sha256 != file.sha256:
            yield Damage(path=file.path, what="content")
