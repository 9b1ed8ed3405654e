"""What changed between two JSON documents, as a tree to read: `+` new, `-` gone, `→` changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from myspinbot.screen import size
from myspinbot.story.patch import same

_INDENT = "  "
_ARTIFACT = {"key", "size", "sha256", "mediaType"}


class Change(StrEnum):
    """What a line says of what it names."""

    INSIDE = " "
    ADDED = "+"
    REMOVED = "-"
    CHANGED = "→"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree, indented by its depth."""

    change: Change
    text: str

    def __str__(self) -> str:
        return f"{self.change} {self.text}"


def difference(before: Any, after: Any, width: int, depth: int = 0) -> Iterator[Line]:
    """The lines of the tree, values on one line where `width` columns hold them."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _between(
            before, after, [*before, *(k for k in after if k not in before)], width, depth
        )
    elif isinstance(before, list) and isinstance(after, list):
        old, new = dict(enumerate(before)), dict(enumerate(after))
        yield from _between(old, new, range(max(len(old), len(new))), width, depth)


def _between(old: Any, new: Any, names: Any, width: int, depth: int) -> Iterator[Line]:
    for name in names:
        label = f"[{name}]" if isinstance(name, int) else str(name)
        if name not in old:
            yield from _whole(Change.ADDED, label, new[name], width, depth)
        elif name not in new:
            yield from _whole(Change.REMOVED, label, old[name], width, depth)
        elif not same(old[name], new[name]):
            yield from _changed(label, old[name], new[name], width, depth)


def _changed(label: str, old: Any, new: Any, width: int, depth: int) -> Iterator[Line]:
    both_open = isinstance(old, dict | list) and type(old) is type(new)
    if both_open and not _is_artifact(new):
        yield Line(Change.INSIDE, f"{_INDENT * depth}{label}")
        yield from difference(old, new, width, depth + 1)
        return
    one_line = f"{_INDENT * depth}{label}: {_short(old)} → {_short(new)}"
    if len(one_line) + 2 <= width:
        yield Line(Change.CHANGED, one_line)
        return
    yield from _whole(Change.REMOVED, label, old, width, depth)
    yield from _whole(Change.ADDED, label, new, width, depth)


def _whole(change: Change, label: str, value: Any, width: int, depth: int) -> Iterator[Line]:
    """A value that is new or gone: on one line if it is short, else with all that is inside."""
    one_line = f"{_INDENT * depth}{label}: {_short(value)}"
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict) and not _is_artifact(value):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = [(f"[{place}]", item) for place, item in enumerate(value)]
    if not inner or len(one_line) + 2 <= width:
        yield Line(change, one_line)
        return
    yield Line(change, f"{_INDENT * depth}{label}")
    for name, item in inner:
        yield from _whole(change, name, item, width, depth + 1)


def _short(value: Any) -> str:
    """A value on one line; of a file its kind, size and the beginning of its hash."""
    if isinstance(value, dict):
        if _is_artifact(value):
            return f"{value['mediaType']}, {size(value['size'])}, {value['sha256'][:8]}…"
        return "{" + ", ".join(f"{name}: {_short(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, str):
        hashed = len(value) == 64 and set(value) <= set("0123456789abcdef")
        text = f"{value[:8]}…" if hashed else value
        return text if text.isprintable() and text else json.dumps(text, ensure_ascii=False)
    return json.dumps(value)


def _is_artifact(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == _ARTIFACT
