"""What turns one JSON document into another, as a JSON Patch (RFC 6902)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def patch(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """The `add`, `remove` and `replace` operations that make `after` of `before`, in order.

    `path` is the JSON Pointer (RFC 6901) of where both stand. Lists are compared place by place.
    """
    return list(_operations(before, after, path))


def _operations(before: Any, after: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() - after.keys():
            yield {"op": "remove", "path": f"{path}/{_escaped(name)}"}
        for name, value in after.items():
            below = f"{path}/{_escaped(name)}"
            if name in before:
                yield from _operations(before[name], value, below)
            else:
                yield {"op": "add", "path": below, "value": value}
    elif isinstance(before, list) and isinstance(after, list):
        for place, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _operations(old, new, f"{path}/{place}")
        # From the end, so that each removal leaves the places before it as they are.
        for place in range(len(before) - 1, len(after) - 1, -1):
            yield {"op": "remove", "path": f"{path}/{place}"}
        for place in range(len(before), len(after)):
            yield {"op": "add", "path": f"{path}/{place}", "value": after[place]}
    elif not same(before, after):
        yield {"op": "replace", "path": path, "value": after}


def same(before: Any, after: Any) -> bool:
    """Whether two JSON values are the same; to Python, true is 1, and to JSON it is not."""
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
