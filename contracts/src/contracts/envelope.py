"""The CloudEvents envelope around every event of the log.

In NATS the envelope is in binary mode: attributes are `ce-*` headers and the body is the
bare event, so `nats sub 'jobs.>'` reads as the job's story. In files it is in structured
mode, one JSON object a line (CloudEvents 1.0.2, NATS and JSON bindings).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from contracts import chain
from contracts.events import Event
from contracts.upcasting import UPCASTERS, UnknownEventError, newest

TYPE_PREFIX = "myspinbot."
_CONTENT_TYPE = "application/json"


class Recorded(NamedTuple):
    """An event with its envelope, as it stands in the log.

    `sequence` is its position in the stream, from 1; `time` is when it was told. `chain` ties it
    to the job's event before it (`contracts.chain`); events of before there were chains have none.
    """

    job: str
    event: Event
    id: str
    source: str
    time: datetime
    sequence: int = 0
    traceparent: str | None = None
    chain: str | None = None

    @property
    def type(self) -> str:
        """The event's type name."""
        return type(self.event).__name__


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it was written, of whatever version, not yet understood.

    `headers` are the `ce-*` headers and `traceparent`, `body` is the bare event. What copies,
    checks or carries events away works on these, so that nothing is lost on the way.
    """

    headers: Mapping[str, str]
    body: bytes
    sequence: int = 0
    subject: str | None = field(default=None, compare=False)
    """Where it stands in the stream, if it was read from there."""

    @property
    def job(self) -> str:
        """The job it is about; UnknownEventError if it does not say."""
        return _attribute(self, "ce-subject")

    @property
    def id(self) -> str:
        """Its id; UnknownEventError if it does not say."""
        return _attribute(self, "ce-id")

    @property
    def type(self) -> str:
        """Its type name; UnknownEventError if it does not say."""
        return _attribute(self, "ce-type").removeprefix(TYPE_PREFIX)

    @property
    def chain(self) -> str | None:
        """Its place in the job's hash chain, if it has one."""
        return self.headers.get("ce-chain")

    def recorded(self) -> Recorded:
        """The event as this program understands it; UnknownEventError if it does not."""
        return from_headers(self.headers, self.body, self.sequence)

    def structured(self) -> dict[str, Any]:
        """The CloudEvent as one JSON object; UnknownEventError if the body is no JSON."""
        attributes = {
            name.removeprefix("ce-"): value
            for name, value in self.headers.items()
            if name.startswith("ce-") or name == "traceparent"
        }
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UnknownEventError(f"event {self.sequence} is no JSON: {error}") from error
        return {
            **attributes,
            "datacontenttype": _CONTENT_TYPE,
            "sequence": str(self.sequence),
            "data": data,
        }

    def linked(self, previous: str) -> str:
        """The chain value that it must have after `previous`; UnknownEventError as above."""
        try:
            return chain.link(previous, self.structured())
        except (ValueError, RecursionError) as error:
            raise UnknownEventError(f"event {self.sequence} is no plain JSON: {error}") from error


def _attribute(stored: Stored, header: str) -> str:
    try:
        return stored.headers[header]
    except KeyError as error:
        raise UnknownEventError(f"event {stored.sequence} lacks the header {header}") from error


def stored_from(value: Mapping[str, Any]) -> Stored:
    """The inverse of `Stored.structured`, for events in files; UnknownEventError if it is none."""
    if "data" not in value:
        raise UnknownEventError("a line is no event: it has no data")
    attributes = {
        name: item
        for name, item in value.items()
        if name not in ("data", "sequence", "datacontenttype")
    }
    if not all(isinstance(item, str) for item in attributes.values()):
        raise UnknownEventError("a line is no event: its attributes are not all text")
    headers = {
        name if name == "traceparent" else f"ce-{name}": item for name, item in attributes.items()
    }
    body = json.dumps(value["data"], separators=(",", ":"), ensure_ascii=False).encode()
    try:
        sequence = int(value.get("sequence", 0))
    except (TypeError, ValueError) as error:
        raise UnknownEventError(f"{value.get('sequence')!r} is no sequence") from error
    return Stored(headers, body, sequence)


def store(recorded: Recorded) -> Stored:
    """The event as it is written."""
    headers = {
        name: value for name, value in to_headers(recorded).items() if name != "content-type"
    }
    return Stored(headers, recorded.event.to_json(), recorded.sequence)


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
        "content-type": _CONTENT_TYPE,
    }
    if recorded.traceparent:
        headers["traceparent"] = recorded.traceparent
    if recorded.chain:
        headers["ce-chain"] = recorded.chain
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
            chain=headers.get("ce-chain"),
        )
    except KeyError as error:
        raise UnknownEventError(f"event {sequence} lacks the header {error}") from error
    except ValueError as error:
        if isinstance(error, UnknownEventError):
            raise
        raise UnknownEventError(f"event {sequence} has no time: {error}") from error


def to_structured(recorded: Recorded) -> dict[str, Any]:
    """The event and its envelope as one JSON object."""
    return store(recorded).structured()


def from_structured(value: Mapping[str, Any]) -> Recorded:
    """The inverse of `to_structured`; UnknownEventError if it cannot be read."""
    return stored_from(value).recorded()


def dataschema(event: Event | type[Event]) -> str:
    """The relative reference of the JSON Schema of this event's version."""
    version = newest(event) if isinstance(event, type) else event.version
    return f"schemas/events/{event.type_name()}.v{version}.json"


def parse(type_name: str, body: bytes) -> Event:
    """The event in `body`, brought to its newest version.

    UnknownEventError for an unknown type, version or shape.
    """
    return UPCASTERS.parse(type_name.removeprefix(TYPE_PREFIX), body)
