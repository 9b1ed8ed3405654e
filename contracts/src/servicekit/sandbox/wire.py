"""What a confined process and whoever asks it say to each other: JSON and bytes, nothing that runs.

A wish is a JSON object and the bytes that it is about. An answer is any number of pieces of
bytes, an empty one, and a JSON object. Each is preceded by its length.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

_LENGTH = struct.Struct(">I")
_LONGEST_JSON = 1 << 20


class BrokenOffError(Exception):
    """The other side has ended amid what it said, or says what nobody would."""


def put(stream: IO[bytes], data: bytes | memoryview) -> None:
    """One piece."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)


def put_json(stream: IO[bytes], value: Mapping[str, Any]) -> None:
    """One JSON object, which ends what is said."""
    put(stream, json.dumps(value).encode())
    stream.flush()


def get(stream: IO[bytes], longest: int) -> bytearray:
    """One piece; BrokenOffError if there is none, or a longer one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size or (size := _LENGTH.unpack(head)[0]) > longest:
        raise BrokenOffError
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not count:
            raise BrokenOffError
        got += count
    return data


def get_json(stream: IO[bytes]) -> dict[str, Any]:
    """One JSON object; BrokenOffError as above."""
    try:
        value = json.loads(get(stream, _LONGEST_JSON))
    except ValueError as error:
        raise BrokenOffError from error
    if not isinstance(value, dict):
        raise BrokenOffError
    return value
