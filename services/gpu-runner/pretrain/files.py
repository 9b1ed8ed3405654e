"""Files and folders that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary name to write a file or a folder under; it becomes `path` if all went well.

    What was at `path` is replaced. A folder is not replaced but has to be new, as no
    system call could do that in one go.

    Raises:
        FileExistsError: a folder was written and there is one at `path` already.

    """
    temporary = path.with_name(f".{path.name}.part")
    if temporary.is_dir():
        shutil.rmtree(temporary)
    temporary.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    yield temporary
    if temporary.is_dir():
        if path.exists():
            raise FileExistsError(f"{path} is there already; remove it to have it made again")
        for file in temporary.rglob("*"):
            _flush(file)
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
