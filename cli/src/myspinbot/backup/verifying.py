"""Checks a backup against the hashes in its manifest and in its list of objects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from myspinbot.backup.index import Entry
from myspinbot.backup.manifest import DamagedBackupError, hash_of
from myspinbot.backup.meter import Work, work
from myspinbot.backup.shelf import Backup
from myspinbot.errors import CommandError


async def verify(backup: Backup) -> None:
    """Read all of it; CommandError that lists what is damaged."""
    damaged: list[DamagedBackupError] = []
    with work("Check the backup", backup.manifest.size) as progress:
        # In a thread, so that Ctrl-C is heard.
        await asyncio.to_thread(lambda: damaged.extend(_damage(backup, progress)))
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        listed = "\n".join(f"  {each.part} {each.how}" for each in damaged[:50])
        raise CommandError(
            f"The backup is damaged in {len(damaged)} places:\n{listed}",
            "Use another backup, or another copy of this one.",
        )


def objects_of(backup: Backup) -> list[Entry]:
    """The list of objects; DamagedBackupError if it is not as long as the manifest says."""
    path = backup.folder / backup.manifest.objects.index.path
    try:
        entries = list(backup.objects)
    except (ValueError, KeyError, TypeError):
        raise DamagedBackupError(path, "cannot be read") from None
    if len(entries) != backup.manifest.objects.count:
        raise DamagedBackupError(path, f"lists {len(entries)} objects")
    return entries


def _damage(backup: Backup, progress: Work) -> Iterator[DamagedBackupError]:
    for part in backup.manifest.parts:
        yield from _compared(backup.folder / part.path, part.size, part.sha256, progress)
    try:
        entries = objects_of(backup)
    except DamagedBackupError as error:
        yield error
        return
    # Equal objects share their content.
    for sha256, count in {entry.sha256: entry.size for entry in entries}.items():
        yield from _compared(backup.blob(sha256), count, sha256, progress)


def _compared(path: Path, count: int, sha256: str, progress: Work) -> Iterator[DamagedBackupError]:
    try:
        there = path.stat().st_size
        if there != count:
            yield DamagedBackupError(path, f"has {there} of {count} bytes")
        elif hash_of(path) != sha256:
            yield DamagedBackupError(path, "is not what its hash says")
    except FileNotFoundError:
        yield DamagedBackupError(path, "is missing")
    except OSError as error:
        yield DamagedBackupError(path, f"cannot be read ({error.strerror})")
    progress.advance(count)
