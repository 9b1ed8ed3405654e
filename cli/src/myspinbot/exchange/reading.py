"""Reads the entries of a file of events, whatever its format, without keeping them."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from contracts.admission import ForeignEventError, parse_json

from myspinbot.errors import MISUSED, NOT_FOUND, CommandError
from myspinbot.exchange.formats import STANDARD

MOST_BYTES = 16 << 20
"""Of one entry: twice what the broker takes, as JSON may write a character as six."""
_CHUNK = 1 << 20
_LONGEST_TOKEN = len("\\u0000")
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"


class CutFileError(Exception):
    """The file ends in the middle of something."""


class BadEntryError(Exception):
    """An entry is no event, or does harm. `number` counts from 1: lines, where there are any."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"entry {number}: {why}")
        self.number = number
        self.why = why


@contextmanager
def source(name: str) -> Iterator[IO[bytes]]:
    """A file to read from; CommandError if it cannot be."""
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    path = Path(name).expanduser()
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise CommandError(f"There is no file {path}.", "Check the path.", NOT_FOUND) from None
    except OSError as error:
        raise CommandError(
            f"{path} cannot be read: {error.strerror}.", "Name a file that you may read.", MISUSED
        ) from error
    with file:
        yield file


def entries(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Each JSON value of a file with its number.

    Raises BadEntryError for what is no JSON, CutFileError where the file ends too early, and
    CommandError if it is of no known format.
    """
    buffered = cast("io.BufferedReader", file)
    begin = buffered.peek(4)[:4]
    if begin.startswith(_GZIP):
        try:
            yield from entries(cast("IO[bytes]", gzip.GzipFile(fileobj=buffered)))
        except EOFError as error:
            raise CutFileError from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise CommandError(
                f"The compressed file is damaged: {error}.", "Fetch or export it anew."
            ) from error
        return
    if begin == _ZSTD:
        raise CommandError(
            "Files that zstd has compressed cannot be read.", "Unpack it with `zstd -d`.", MISUSED
        )
    if begin == _PARQUET:
        yield from _table(buffered)
    elif buffered.peek(64).lstrip()[:1] == b"[":
        yield from _array(buffered)
    else:
        yield from _lines(buffered)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise BadEntryError(number, f"it is longer than {MOST_BYTES >> 20} MiB")
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ForeignEventError as error:
            if not line.endswith(b"\n"):
                raise CutFileError from error
            raise BadEntryError(number, str(error)) from error
        yield number, value


def _array(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """The items of a JSON array, however it is laid out."""
    text = _Text(file)
    text.take("[")
    if text.peek() == "]":
        return
    number = 1
    while True:
        yield number, text.value(number)
        if text.take(",]", number) == "]":
            break
        number += 1
    if text.peek():
        raise BadEntryError(number + 1, "something follows after the end of the array")


class _Text:
    """A window over the text of a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at = "", 0
        self._decoder = json.JSONDecoder(parse_constant=_refuse)

    def _more(self) -> bool:
        try:
            content = self._file.read(_CHUNK)
            chunk = self._utf8.decode(content, final=not content)
        except UnicodeDecodeError as error:
            raise BadEntryError(1, f"it is no UTF-8: {error.reason}") from error
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(content)

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, wanted: str, number: int = 1) -> str:
        """The next character, which must be one of those wanted."""
        found = self.peek()
        if not found:
            raise CutFileError
        if found not in wanted:
            raise BadEntryError(number, f"{found!r} follows, and no {' or '.join(wanted)}")
        self._at += 1
        return found

    def value(self, number: int) -> Any:
        """The next JSON value."""
        self.peek()
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at > MOST_BYTES:
                    why = f"it is no JSON, or longer than {MOST_BYTES >> 20} MiB"
                    raise BadEntryError(number, why) from error
                if not self._more():
                    raise self._unfinished(number, error) from error
            else:
                return value

    def _unfinished(self, number: int, error: Exception) -> Exception:
        # Where the fault is at the very end, the rest is missing; else it is one.
        at = getattr(error, "pos", 0)
        if len(self._text) - at <= _LONGEST_TOKEN or "Unterminated" in str(error):
            return CutFileError()
        return BadEntryError(number, f"it is no JSON: {error}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _table(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    from myspinbot.exchange.parquet import CutTableError, read_rows

    if not file.seekable():
        raise CommandError(
            "A Parquet file cannot be read from a pipe.", "Name the file itself.", MISUSED
        )
    number = 0
    try:
        for event in read_rows(file):
            number += 1
            yield number, event
    except CutTableError as error:
        raise CutFileError from error
    except ValueError as error:
        raise BadEntryError(number + 1, str(error)) from error
