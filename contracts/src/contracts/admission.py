"""What an event's envelope may say: checked before an event from outside is let in.

The attributes become headers of a NATS message, so none may hold a line break, and none may be
of a name that the broker takes for a command of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from contracts.envelope import TYPE_PREFIX, Stored, stored_from
from contracts.upcasting import UnknownEventError

_ID = r"[a-z0-9][a-z0-9_-]{0,63}"
_PATTERNS = {
    "ce-specversion": (r"1\.0", "the version of CloudEvents that is known, 1.0"),
    "ce-id": (r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "an id"),
    "ce-source": (r"/myspinbot/[a-z0-9-]{1,40}", "a part of a MySpinBot"),
    "ce-type": (re.escape(TYPE_PREFIX) + r"[A-Za-z][A-Za-z0-9]{0,63}", "an event of MySpinBot"),
    "ce-subject": (_ID, "the id of a job"),
    "ce-time": (r"[0-9T:.+Z-]{10,40}", "a time"),
    "ce-dataschema": (r"schemas/events/[A-Za-z0-9]{1,64}\.v[0-9]{1,6}\.json", "a schema of ours"),
    "traceparent": (r"[0-9a-f]{2}(-[0-9a-f]{2,32}){3}", "a trace context (W3C)"),
    "ce-chain": (r"[0-9a-f]{64}", "a SHA-256"),
}
_COMPILED = {name: (re.compile(pattern), what) for name, (pattern, what) in _PATTERNS.items()}
_OPTIONAL = ("traceparent", "ce-chain")
_NEEDED = tuple(name for name in _PATTERNS if name not in _OPTIONAL)
_CONTENT_TYPES = (None, "application/json")


class ForeignEventError(UnknownEventError):
    """What was given is no event of a MySpinBot, or would do harm in a log."""


def envelope_faults(headers: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the headers of an event, each as a clause such as `its ce-id is no id`."""
    for name in _NEEDED:
        if name not in headers:
            yield f"it lacks {name.removeprefix('ce-')}"
    for name, value in headers.items():
        known = _COMPILED.get(name)
        if known is None:
            yield f"it has an attribute {name.removeprefix('ce-')[:40]!r} that no event has"
        elif known[0].fullmatch(value) is None:
            yield f"its {name.removeprefix('ce-')} {_short(value)} is not {known[1]}"
        elif name == "ce-time" and (fault := _time_fault(value)):
            yield fault


def is_job(name: str) -> bool:
    """Whether it could be the id of a job."""
    return _COMPILED["ce-subject"][0].fullmatch(name) is not None


def admit(value: Any) -> Stored:
    """A structured CloudEvent from outside as one of ours; ForeignEventError says why it is none.

    Whether this program knows its type and version is not asked here.
    """
    if not isinstance(value, dict):
        raise ForeignEventError("it is no CloudEvent: a JSON object is wanted")
    kind = value.get("type")
    if isinstance(kind, str) and not kind.startswith(TYPE_PREFIX):
        raise ForeignEventError(f"its type {_short(kind)} is not an event of MySpinBot")
    if value.get("datacontenttype") not in _CONTENT_TYPES or "data_base64" in value:
        raise ForeignEventError("its data is no JSON")
    if not isinstance(value.get("data"), dict):
        raise ForeignEventError("it has no data that could be an event of MySpinBot")
    try:
        stored = stored_from(value)
    except UnicodeEncodeError as error:
        raise ForeignEventError("it has half of a surrogate pair, which is no text") from error
    except UnknownEventError as error:
        raise ForeignEventError(str(error)) from error
    if stored.sequence < 0:
        raise ForeignEventError(f"its sequence is {stored.sequence}")
    for fault in envelope_faults(stored.headers):
        raise ForeignEventError(fault)
    return stored


def parse_json(text: str | bytes) -> Any:
    """JSON as the standard has it; ForeignEventError for all else, NaN included."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ForeignEventError(f"it is no JSON: {str(error)[:120]}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _time_fault(value: str) -> str | None:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return f"its time {_short(value)} is none"
    return None if time.tzinfo is not None else f"its time {_short(value)} has no zone"


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:60] + "…")
