"""The list of the objects in a backup: one JSON object a line, appended as each is copied."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: its key, what the store said of it, and the hash of its content."""

    key: str
    etag: str
    size: int
    sha256: str
    media_type: str

    @property
    def identity(self) -> tuple[str, str, int]:
        """By which one sees in the store's list that it has not changed."""
        return self.key, self.etag, self.size


class IndexWriter:
    """An index while it is written; a line is in the file when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "a", buffering=1, encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, entry: Entry) -> None:
        """Append an object."""
        if self._file is None:
            raise ValueError("the index is closed")
        line = {
            "key": entry.key,
            "etag": entry.etag,
            "size": entry.size,
            "sha256": entry.sha256,
            "mediaType": entry.media_type,
        }
        self._file.write(json.dumps(line) + "\n")


def read_index(path: Path) -> Iterator[Entry]:
    """The objects in an index, none if there is no index; a last line that was cut is left out."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    return
                told = json.loads(line)
                yield Entry(
                    told["key"], told["etag"], told["size"], told["sha256"], told["mediaType"]
                )
    except FileNotFoundError:
        return
