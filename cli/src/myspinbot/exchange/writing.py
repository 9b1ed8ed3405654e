"""Writes events into a file that appears when it is whole."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast

from myspinbot.errors import CommandError
from myspinbot.exchange.formats import STANDARD, Format

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
Entry = Mapping[str, Any]
"""A structured CloudEvent."""


class Writer(Protocol):
    """Takes events one by one."""

    def write(self, event: Entry) -> None:
        """Add an event."""

    def close(self, about: list[Entry]) -> None:
        """End with the entries that are about the file itself."""


class JsonLines:
    """One event a line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, event: Entry) -> None:
        """Add an event."""
        self._file.write(encoded(event) + b"\n")

    def close(self, about: list[Entry]) -> None:
        """End with the entries that are about the file itself."""
        for entry in about:
            self.write(entry)


class JsonBatch:
    """All events in one array, each on a line of its own so that a person can look into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._before = b"[\n"

    def write(self, event: Entry) -> None:
        """Add an event."""
        self._file.write(self._before + encoded(event))
        self._before = b",\n"

    def close(self, about: list[Entry]) -> None:
        """End with the entries that are about the file itself."""
        for entry in about:
            self.write(entry)
        self._file.write(b"\n]\n")


def encoded(event: Entry) -> bytes:
    """An event as one line of JSON, without the line's end."""
    return _ENCODER.encode(event).encode()


def writer_of(kind: Format, file: IO[bytes]) -> Writer:
    """What writes this format; CommandError if something is missing for it."""
    match kind:
        case Format.JSONL:
            return JsonLines(file)
        case Format.BATCH:
            return JsonBatch(file)
        case Format.PARQUET:
            # Imported where it is used: it is heavy, and optional.
            from myspinbot.exchange.parquet import ParquetRows

            return ParquetRows(file)


@contextmanager
def destination(name: str, *, compressed: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when the context has ended well.

    What is there under this name stays until then, and for good if something goes wrong.
    """
    if name == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name).expanduser().absolute()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file = partial.open("xb")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}.", "Name a file in another folder."
        ) from error
    try:
        with file:
            if compressed:
                # No time and no name in it: the same events make the same file.
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    yield cast("IO[bytes]", packed)
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
