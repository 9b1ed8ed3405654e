"""The finished spans of a job, as services hand them to each other for the job's waterfall.

They are a courtesy and no history: kept for a while in the broker's memory, so that a job's trace
can be looked at where no tracing backend is installed. Attributes follow OpenTelemetry's semantic
conventions and never hold what a person wrote.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.base import Contract, Id, Timestamp

TraceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
SpanId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
AttributeValue = bool | int | float | str | tuple[bool | int | float | str, ...]


class SpanKind(StrEnum):
    """Which side of a call a span stands on, as OpenTelemetry names it."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class SpanLink(Contract):
    """Another span that this one has to do with, such as the attempt that failed before."""

    trace_id: TraceId
    span_id: SpanId
    attributes: dict[str, AttributeValue] = Field(default_factory=dict)


class Span(Contract):
    """Something that a service has done, with when it began and how long it took."""

    trace_id: TraceId
    span_id: SpanId
    parent_id: SpanId | None = None
    name: str
    kind: SpanKind = SpanKind.INTERNAL
    service: str
    instance: str | None = Field(default=None, description="which process of the service")
    started_at: Timestamp
    duration_s: float = Field(ge=0, description="seconds")
    failed: bool = False
    attributes: dict[str, AttributeValue] = Field(default_factory=dict)
    links: tuple[SpanLink, ...] = ()


class SpanBatch(Contract):
    """Some spans of one job that a service has finished."""

    version: Literal[1] = 1
    job: Id
    spans: tuple[Span, ...]


def ids_of(traceparent: str | None) -> tuple[TraceId | None, SpanId | None]:
    """(trace, span) that a `traceparent` names; nothing if it is none, whoever wrote it.

    https://www.w3.org/TR/trace-context/#traceparent-header-field-values
    """
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return (found[1], found[2]) if found else (None, None)
