"""The hash chain over the events of a job: an edit of any of them shows in all that follow.

Each event's envelope carries `chain`, the SHA-256 over the chain value of the job's event before
it and over its own content. What is hashed does not depend on where the event is kept: neither
the stream's sequence nor the white space of the JSON is part of it, so an export carries the
chain with it, and anybody can recompute it (docs/events.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

BEGIN = ""
"""What the first event of a job is chained to."""

_NOT_HASHED = ("chain", "sequence")
# Made once: `json.dumps` would make one for every event.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical(event: Mapping[str, Any]) -> bytes:
    """A structured CloudEvent as the bytes that are hashed.

    JSON with sorted keys, without white space, in UTF-8, and without `chain` and `sequence`.
    Numbers are as Python writes them: whole ones in full, others as the shortest text that
    reads back as the same double.
    """
    content = {key: value for key, value in event.items() if key not in _NOT_HASHED}
    return _ENCODER.encode(content).encode()


def link(previous: str, event: Mapping[str, Any]) -> str:
    """The chain value of an event after `previous`, in hexadecimal."""
    return hashlib.sha256(previous.encode() + b"\n" + canonical(event)).hexdigest()
