"""What a backup says of itself. It is written last: a folder without it is no backup."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.base import Contract, Sha256
from pydantic import ValidationError

from contracts import subjects
from myspinbot.errors import MISUSED, CommandError

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_CHUNK_BYTES = 1 << 20


class DamagedBackupError(CommandError):
    """A part of a backup is not what it was when it was made."""

    def __init__(self, part: Path, how: str) -> None:
        super().__init__(
            f"The backup is damaged: {part} {how}.",
            "Use another backup, or another copy of this one. "
            "`myspinbot backup --verify` lists all that is damaged.",
        )
        self.part = part
        self.how = how


class Part(Contract):
    """One file of a backup: its path in the backup's folder, its size in bytes, its hash."""

    path: str
    size: int
    sha256: Sha256


class StreamPart(Contract):
    """One stream of the broker, and what is needed to make it again."""

    name: str
    created: datetime
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    consumers: tuple[str, ...]
    file: Part


class ViewsPart(Contract):
    """The projector's database, and how far each projection in it had come."""

    kind: str
    files: tuple[Part, ...]
    positions: tuple[Mapping[str, Any], ...]


class ObjectsPart(Contract):
    """The objects: their number, their bytes, and the list that names each.

    `gone` counts those that were erased while the backup was made.
    """

    index: Part
    count: int
    size: int
    gone: int


class Manifest(Contract):
    """Everything that one backup holds. `views` and `keys` may have been left out."""

    format: int
    id: str
    version: str
    source: str
    began: datetime
    finished: datetime
    streams: tuple[StreamPart, ...]
    objects: ObjectsPart
    views: ViewsPart | None = None
    keys: Part | None = None

    @property
    def log(self) -> StreamPart:
        """The stream of the events."""
        return self.stream(subjects.JOBS)

    @property
    def last_sequence(self) -> int:
        """That of the last event."""
        return int(self.log.state["last_seq"])

    def stream(self, name: str) -> StreamPart:
        """One of the streams; KeyError if the backup has none of this name."""
        for part in self.streams:
            if part.name == name:
                return part
        raise KeyError(name)

    @property
    def parts(self) -> Iterator[Part]:
        """All files but the objects, which are named by their hashes."""
        yield from (stream.file for stream in self.streams)
        yield from self.views.files if self.views else ()
        yield self.objects.index
        if self.keys:
            yield self.keys

    @property
    def size(self) -> int:
        """Bytes of all parts and objects."""
        return sum(part.size for part in self.parts) + self.objects.size


def part_of(folder: Path, path: Path) -> Part:
    """A file of a backup as its manifest names it."""
    return Part(
        path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=hash_of(path)
    )


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, and hashes that `sha256sum --check` takes too."""
    path = folder / MANIFEST
    _write(path, manifest.model_dump_json(by_alias=True, indent=2) + "\n")
    lines = [f"{part.sha256}  {part.path}\n" for part in manifest.parts]
    _write(folder / SUMS, "".join([f"{hash_of(path)}  {MANIFEST}\n", *lines]))


def read(folder: Path) -> Manifest:
    """The manifest of a backup; CommandError if it has none, or one that is damaged or too new."""
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(
            f"{folder} is no finished backup: it has no {MANIFEST}.",
            "Name a backup's folder, or the folder of all backups for the newest of them. "
            "An unfinished one is completed by the next `myspinbot backup`.",
            MISUSED,
        ) from None
    known = _known_hash(folder)
    if hashlib.sha256(text).hexdigest() != known:
        raise DamagedBackupError(path, f"is not what {SUMS} says")
    try:
        content = json.loads(text)
        if int(content["format"]) > FORMAT:
            raise CommandError(
                f"The backup {folder} was made by a newer version, {content.get('version')}.",
                "Install that version, or a later one, and restore with it.",
                MISUSED,
            )
        return Manifest.model_validate(content)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise DamagedBackupError(path, f"cannot be understood ({type(error).__name__})") from error


def _known_hash(folder: Path) -> str:
    try:
        first = (folder / SUMS).read_text().splitlines()[0]
        return first.split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise DamagedBackupError(folder / SUMS, "is missing or empty") from None


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
