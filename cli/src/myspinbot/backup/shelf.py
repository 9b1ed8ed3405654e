"""The folder that holds the backups of an installation.

Each backup is a folder of its own. Objects never change, so all backups share them, each kept
once under its hash: a second backup takes only what is new. A backup is made in a folder with a
dot before its name, and gets its name when it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from myspinbot.backup import manifest
from myspinbot.backup.index import Entry, read_index
from myspinbot.backup.manifest import Manifest
from myspinbot.errors import HELD, MISUSED, NOT_FOUND, CommandError

_MARK = "backups.json"
_LOCK = ".lock"
_OBJECTS = "objects"
_INDEX = "objects.jsonl"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup and what it says of itself."""

    folder: Path
    manifest: Manifest

    @property
    def objects(self) -> Iterator[Entry]:
        """The objects that it holds."""
        return read_index(self.folder / self.manifest.objects.index.path)

    def blob(self, sha256: str) -> Path:
        """Where the content of an object is."""
        return _blob(self.folder.parent, sha256)


@dataclass(frozen=True, slots=True)
class Draft:
    """A backup that is being made."""

    folder: Path
    id: str

    @property
    def index(self) -> Path:
        """The list of its objects, which grows while they are copied."""
        return self.folder / _INDEX


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of backups, for its owner only."""

    root: Path

    def prepare(self) -> None:
        """Make the folder; CommandError if it holds something else."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise _no_shelf(self.root, "is a file") from None
        if not (self.root / _MARK).exists():
            others = [path for path in self.root.iterdir() if path.name != _LOCK]
            if others:
                raise _no_shelf(self.root, f"holds other things, such as {others[0].name}")
            self.root.chmod(0o700)
            (self.root / _MARK).write_text(json.dumps({"format": manifest.FORMAT}) + "\n")
        (self.root / _OBJECTS).mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only one who changes the folder, and nobody reads; CommandError otherwise."""
        with (self.root / _LOCK).open("a") as lock:
            _take(lock.fileno(), fcntl.LOCK_EX, self.root)
            yield

    def backups(self) -> list[Path]:
        """The folders of the finished backups, the newest last."""
        found = (path for path in self.root.iterdir() if _NAME.fullmatch(path.name))
        return sorted(
            (path for path in found if (path / manifest.MANIFEST).exists()), key=_age_order
        )

    def unfinished(self) -> list[Path]:
        """The folders of backups that were cut off."""
        return sorted(p for p in self.root.glob(".*") if _NAME.fullmatch(p.name.removeprefix(".")))

    def begin(self, now: datetime) -> Draft:
        """An empty folder for a new backup."""
        stamp = name = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while (self.root / name).exists() or (self.root / f".{name}").exists():
            number += 1
            name = f"{stamp}-{number}"
        folder = self.root / f".{name}"
        folder.mkdir(mode=0o700)
        return Draft(folder, name)

    def finish(self, draft: Draft, content: Manifest) -> Backup:
        """Give the backup its manifest and its name, when all of it is on the disk."""
        manifest.write(draft.folder, content)
        settle(draft.folder)
        for folder in (self.root / _OBJECTS).glob("??"):
            sync(folder)
        final = self.root / draft.id
        draft.folder.rename(final)
        sync(self.root)
        return Backup(final, content)

    def known(self) -> dict[tuple[str, str, int], Entry]:
        """What of the newest backup, and of those that were cut off, need not be copied again."""
        folders = [*self.backups()[-1:], *self.unfinished()]
        return {
            entry.identity: entry
            for folder in folders
            for entry in read_index(folder / _INDEX)
            if self.has(entry)
        }

    def has(self, entry: Entry) -> bool:
        """Whether the content of an object is there, as far as its size tells."""
        try:
            return self.blob(entry.sha256).stat().st_size == entry.size
        except FileNotFoundError:
            return False

    def blob(self, sha256: str) -> Path:
        """The place of content with this hash."""
        return _blob(self.root, sha256)

    def incoming(self, number: int) -> Path:
        """A place for content whose hash is not known yet."""
        return self.root / _OBJECTS / f".incoming-{number}"

    def keep(self, incoming: Path, sha256: str) -> None:
        """Move content to its place."""
        place = self.blob(sha256)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        incoming.replace(place)

    def clear_unfinished(self) -> int:
        """Remove what was cut off; returns how many."""
        folders = self.unfinished()
        for folder in folders:
            shutil.rmtree(folder)
        for left in (self.root / _OBJECTS).glob(".incoming-*"):
            left.unlink()
        return len(folders)

    def rotate(self, keep: int) -> tuple[list[Path], int]:
        """Remove all but the newest backups; returns them and the bytes of objects freed."""
        old = self.backups()[:-keep]
        for folder in old:
            # Without its manifest it is no backup any more, however far the removal comes.
            (folder / manifest.MANIFEST).unlink()
            shutil.rmtree(folder)
        wanted = {
            entry.sha256
            for folder in (*self.backups(), *self.unfinished())
            for entry in read_index(folder / _INDEX)
        }
        freed = 0
        for blob in (self.root / _OBJECTS).glob("??/*"):
            if blob.name not in wanted:
                freed += blob.stat().st_size
                blob.unlink()
        return old, freed


def find(source: Path) -> Backup:
    """The backup that is meant by its own folder, or the newest of a folder of backups.

    Raises CommandError if there is none, or it cannot be used.
    """
    if (source / _MARK).exists() and not (source / manifest.MANIFEST).exists():
        finished = Shelf(source).backups()
        if not finished:
            raise CommandError(
                f"There is no finished backup in {source}.",
                "Make one with `myspinbot backup`.",
                NOT_FOUND,
            )
        source = finished[-1]
    if not source.exists():
        raise CommandError(f"There is no backup {source}.", "Check the path.", NOT_FOUND)
    return Backup(source, manifest.read(source))


@contextlib.contextmanager
def held_for_reading(backup: Backup) -> Iterator[None]:
    """Let nobody remove the backup meanwhile, where its folder can be locked at all."""
    with contextlib.ExitStack() as stack:
        # A copy on a read-only medium has no one who could remove it.
        with contextlib.suppress(OSError):
            lock = stack.enter_context((backup.folder.parent / _LOCK).open())
            _take(lock.fileno(), fcntl.LOCK_SH, backup.folder.parent)
        yield


def _take(descriptor: int, how: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"Another backup or restore uses {root} now.", "Wait until it has ended.", HELD
        ) from None


def _blob(root: Path, sha256: str) -> Path:
    return root / _OBJECTS / sha256[:2] / sha256


def _age_order(folder: Path) -> tuple[str, int]:
    stamp, _, number = folder.name.partition("-")
    return stamp, int(number or 1)


def _no_shelf(root: Path, why: str) -> CommandError:
    return CommandError(
        f"Backups cannot be kept in {root}: it {why}.", "Name a new or an empty folder.", MISUSED
    )


def settle(folder: Path) -> None:
    """Return when a folder with all that is in it will outlast a power cut."""
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            sync(path)


def sync(path: Path) -> None:
    """Return when a file, or the list of files in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
