"""What the gateway answers about where the time of a job went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from myspinbot.client.replies.base import Reply


class SpanLink(Reply):
    """Another span that a span has to do with, and what it is to it."""

    trace_id: str
    span_id: str
    relation: str | None = None
    here: bool = False


class Span(Reply):
    """Something that was done for a job. `depth` is how many spans it is below."""

    span_id: str
    parent_id: str | None = None
    trace_id: str | None = None
    depth: int = 0
    name: str
    kind: str = "internal"
    service: str
    stage: str | None = None
    attempt: int | None = None
    started_at: datetime
    offset_s: float
    duration_s: float
    status: str
    source: str = "span"
    attributes: dict[str, Any] = Field(default_factory=dict)
    links: tuple[SpanLink, ...] = ()


class Trace(Reply):
    """Where the time of a job went: each span is followed by what is below it."""

    job_id: str
    trace_id: str | None = None
    trace_url: str | None = None
    started_at: datetime | None = None
    duration_s: float = 0.0
    sampled: bool = False
    truncated: bool = False
    spans: tuple[Span, ...] = ()
