"""The trace of a job as the API shows it: a tree, laid out in the order in which one reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from contracts.base import Contract, Id, Name, Timestamp
from contracts.spans import AttributeValue, Span, SpanId, SpanKind, TraceId
from eventlog.tracing import ATTEMPT, LINK, STAGE
from pydantic import Field

from gateway.traces.story import Told

MOST_SPANS = 5_000


class SpanLinkView(Contract):
    """Another span that a span has to do with."""

    trace_id: TraceId
    span_id: SpanId
    relation: str | None = Field(description="what it is to this one, such as `former attempt`")
    here: bool = Field(description="whether it is among the spans of this job")


class SpanView(Contract):
    """Something that was done for the job."""

    span_id: SpanId
    parent_id: SpanId | None = Field(description="null at the top, as far as spans are kept")
    trace_id: TraceId | None = Field(description="null if it was not traced")
    depth: int = Field(description="how many spans it is below; 0 at the top")
    name: str = Field(description="such as `stage train_lora`, `queue train_lora`, `S3/GetObject`")
    kind: SpanKind
    service: str
    stage: Name | None
    attempt: int | None
    started_at: Timestamp
    offset_s: float = Field(description="seconds from the start of the trace")
    duration_s: float = Field(description="seconds, until now if it is running")
    status: Literal["ok", "failed", "running"]
    source: Literal["span", "log"] = Field(
        description="`log` if no span of it is kept, or not yet, and the log tells of it"
    )
    attributes: dict[str, AttributeValue] = Field(
        description="by OpenTelemetry's semantic conventions; never what a person wrote"
    )
    links: tuple[SpanLinkView, ...]


class TraceView(Contract):
    """Where the time of a job went."""

    job_id: Id
    trace_id: TraceId | None
    trace_url: str | None = Field(description="where else to look at it")
    started_at: Timestamp | None
    duration_s: float = Field(description="seconds from the first start to the last end")
    sampled: bool = Field(description="whether services keep spans of it, not the log alone")
    truncated: bool = Field(description=f"whether there are more than {MOST_SPANS} spans")
    spans: tuple[SpanView, ...] = Field(description="each followed by what is below it, by time")


def views_of(spans: Sequence[Span], told: Iterable[Told], now: datetime) -> tuple[SpanView, ...]:
    """All spans as a tree; what the log tells fills in what no span tells of."""
    here = {span.span_id for span in spans}
    found = {span.span_id: _of_span(span, here) for span in spans}
    queues = {(one.stage, one.attempt) for one in found.values() if one.name.startswith("queue ")}
    for one in told:
        known = one.span_id in found or (
            one.name.startswith("queue ") and (one.stage, one.attempt) in queues
        )
        if not known:
            found[one.span_id] = _of_log(one, now)
    return tuple(_in_order(list(found.values())))


def _in_order(spans: list[SpanView]) -> Iterator[SpanView]:
    ids = {span.span_id for span in spans}
    spans.sort(key=lambda span: (span.started_at, -span.duration_s, span.span_id))
    below: dict[str | None, list[SpanView]] = {}
    for span in spans:
        known = span.parent_id if span.parent_id in ids and span.parent_id != span.span_id else None
        below.setdefault(known, []).append(span)
    begin = spans[0].started_at if spans else None
    waiting = [(span, 0) for span in reversed(below.get(None, ()))]
    while waiting:
        span, depth = waiting.pop()
        offset_s = (span.started_at - begin).total_seconds() if begin else 0.0
        parent = span.parent_id if depth else None
        yield span.model_copy(
            update={"depth": depth, "offset_s": round(offset_s, 6), "parent_id": parent}
        )
        waiting += [(child, depth + 1) for child in reversed(below.get(span.span_id, ()))]


def _of_span(span: Span, here: set[SpanId]) -> SpanView:
    stage, attempt = span.attributes.get(STAGE), span.attributes.get(ATTEMPT)
    return SpanView(
        span_id=span.span_id,
        parent_id=span.parent_id,
        trace_id=span.trace_id,
        depth=0,
        name=span.name,
        kind=span.kind,
        service=span.service,
        stage=stage if isinstance(stage, str) else None,
        attempt=attempt if isinstance(attempt, int) else None,
        started_at=span.started_at,
        offset_s=0.0,
        duration_s=round(span.duration_s, 6),
        status="failed" if span.failed else "ok",
        source="span",
        attributes=span.attributes,
        links=tuple(
            SpanLinkView(
                trace_id=link.trace_id,
                span_id=link.span_id,
                relation=str(link.attributes[LINK]) if LINK in link.attributes else None,
                here=link.span_id in here,
            )
            for link in span.links
        ),
    )


def _of_log(one: Told, now: datetime) -> SpanView:
    failed = one.outcome in ("StageFailed", "abandoned")
    return SpanView(
        span_id=one.span_id,
        parent_id=one.parent_id,
        trace_id=one.trace_id,
        depth=0,
        name=one.name,
        kind=SpanKind.INTERNAL,
        service=one.service,
        stage=one.stage,
        attempt=one.attempt,
        started_at=one.began,
        offset_s=0.0,
        duration_s=round(max(((one.ended or now) - one.began).total_seconds(), 0.0), 6),
        status="running" if one.ended is None else "failed" if failed else "ok",
        source="log",
        attributes={"myspinbot.outcome": one.outcome} if one.outcome else {},
        links=(),
    )
