"""What people call their photos, so that what is said of "photo 3" can be said of their file.

A file's name may be as personal as the file, so names are kept like it: as one object in the
store, which goes when the job is deleted, and never in the log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from contracts.base import DISGUISES
from pydantic import StringConstraints

INPUT = "photo_names"
"""The input of a request that holds the names: a JSON list, in the order of the photos."""

_LONGEST = 255

FileName = Annotated[
    str, StringConstraints(max_length=_LONGEST, pattern=rf"^[^\t\n\r{DISGUISES}]*$")
]
"""A file's name without its folders; empty if it is not known."""


def plain(name: str) -> str:
    """`name` as a form declares it, without folders, line breaks and what is too long.

    Browsers send the name alone (https://www.rfc-editor.org/rfc/rfc7578#section-4.2), but other
    clients send whole paths.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST]


def packed(names: Sequence[str]) -> str:
    """The names as the store keeps them."""
    return json.dumps(names, ensure_ascii=False)


def unpacked(text: str | None) -> tuple[str | None, ...]:
    """The names in the order of the photos; none at all if `text` was erased or never there."""
    return tuple(name or None for name in json.loads(text)) if text else ()
