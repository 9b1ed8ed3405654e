"""The CloudEvents envelope around every event of the log.

In NATS the envelope is in binary mode: attributes are `ce-*` headers and the body is the
bare event, so `nats sub 'jobs.>'` reads as the job's story. In files it is in structured
mode, one JSON object a line (CloudEvents 1.0.2, NATS and JSON bindings).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from contracts.events import EVENTS, Event

TYPE_PREFIX = "myspinbot."


class UnknownEventError(ValueError):
    """The event has a type or version that this program does not know, or a wrong shape."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its envelope, as it stands in the log.

    `sequence` is its position in the stream, from 1; `time` is when it was told.
    """

    job: str
    event: Event
    id: str
    source: str
    time: datetime
    sequence: int = 0
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The event's type name."""
        return self.event.type_name()


def to_headers(recorded: Recorded) -> dict[str, str]:
    """The envelope as NATS headers."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": recorded.id,
        "ce-source": recorded.source,
        "ce-type": TYPE_PREFIX + recorded.type,
        "ce-subject": recorded.job,
        "ce-time": recorded.time.isoformat(),
        "ce-dataschema": dataschema(recorded.event),
        "content-type": "application/json",
    }
    if recorded.traceparent:
        headers["traceparent"] = recorded.traceparent
    return headers


def from_headers(headers: Mapping[str, str], body: bytes, sequence: int) -> Recorded:
    """The event that stands at `sequence`; UnknownEventError if it cannot be read."""
    try:
        return Recorded(
            job=headers["ce-subject"],
            event=parse(headers["ce-type"], body),
            id=headers["ce-id"],
            source=headers["ce-source"],
            time=datetime.fromisoformat(headers["ce-time"]),
            sequence=sequence,
            traceparent=headers.get("traceparent"),
        )
    except KeyError as error:
        raise UnknownEventError(f"event {sequence} lacks the header {error}") from error


def to_structured(recorded: Recorded) -> dict[str, Any]:
    """The event and its envelope as one JSON object."""
    headers = to_headers(recorded)
    attributes = {k.removeprefix("ce-"): v for k, v in headers.items() if k != "content-type"}
    return {
        **attributes,
        "datacontenttype": "application/json",
        "sequence": str(recorded.sequence),
        "data": json.loads(recorded.event.to_json()),
    }


def from_structured(value: Mapping[str, Any]) -> Recorded:
    """The inverse of `to_structured`; UnknownEventError if it cannot be read."""
    headers = {f"ce-{key}": str(item) for key, item in value.items() if key != "data"}
    if "traceparent" in value:
        headers["traceparent"] = value["traceparent"]
    body = json.dumps(value.get("data")).encode()
    return from_headers(headers, body, int(value.get("sequence", 0)))


def dataschema(event: Event | type[Event]) -> str:
    """The relative reference of the JSON Schema of this event's version."""
    version = event.model_fields["version"].default if isinstance(event, type) else event.version
    return f"schemas/events/{event.type_name()}.v{version}.json"


def parse(type_name: str, body: bytes) -> Event:
    """The event in `body`; UnknownEventError for an unknown type, version or shape."""
    model = EVENTS.get(type_name.removeprefix(TYPE_PREFIX))
    if model is None:
        raise UnknownEventError(f"unknown event type {type_name!r}: was it written by a newer one?")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise UnknownEventError(f"{type_name} is not of a known version: {error}") from error
