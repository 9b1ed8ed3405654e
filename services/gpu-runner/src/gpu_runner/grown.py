"""Folders that are there as a whole or not at all, and are made by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


class HeldError(Exception):
    """Somebody else is at it; `holder` is the number of that process, or empty."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}" if holder else "held")
        self.holder = holder

    @property
    def by_whom(self) -> str:
        """As the end of a sentence."""
        return f" by process {self.holder}" if self.holder else ""


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Be the only one who holds a lock, a file that is made with its folder.

    The kernel frees it when its holder dies, however it dies. Raises HeldError, OSError.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HeldError(file.read().strip()) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def put_in_place(grown: Path, folder: Path) -> None:
    """Give a grown folder its name; what had that name before is gone."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    grown.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def take_away(folder: Path) -> None:
    """Let a folder vanish at once, then free its space."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.replace(old)
    shutil.rmtree(old)
