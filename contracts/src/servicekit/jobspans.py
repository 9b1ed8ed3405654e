"""Hands the finished spans of jobs to the broker, where the gateway finds them.

It is a span processor beside the OTLP exporter, with no thread and no server of its own: finished
spans wait in a bounded queue until the service's event loop sends them on. When the broker is away
they wait; when too many wait, the oldest are dropped. No work ever waits for a span.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from contracts.spans import AttributeValue, Span, SpanKind, SpanLink
from eventlog.broker import Broker
from eventlog.errors import UnavailableError
from eventlog.spans import JobSpans
from eventlog.tracing import JOB
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as LiveSpan
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

MOST_WAITING = 20_000
EVERY_S = 0.5
_BATCH = 100
_MOST_OPEN = 5_000


@dataclass(slots=True)
class _Tree:
    """The spans of this process below one that came from elsewhere, or from nowhere."""

    root: int
    job: str | None
    finished: list[ReadableSpan] = field(default_factory=list)


class JobSpanProcessor(SpanProcessor):
    """Picks out the spans that belong to a job: one of those around them says to which.

    Spans of a tree whose job is not known yet, such as those of a request that is about to make
    one, are held until it is, or dropped with the end of the tree.
    """

    def __init__(self) -> None:
        self._trees: OrderedDict[int, _Tree] = OrderedDict()
        self._waiting: deque[tuple[str, ReadableSpan]] = deque(maxlen=MOST_WAITING)

    def on_start(self, span: LiveSpan, parent_context: Context | None = None) -> None:
        """Find the tree that it belongs to."""
        del parent_context
        own = span.get_span_context()
        if own is None:
            return
        parent = None if span.parent is None or span.parent.is_remote else span.parent.span_id
        tree = self._trees.get(parent) if parent is not None else None
        if tree is None:
            tree = _Tree(own.span_id, None)
        tree.job = tree.job or _job(span)
        self._trees[own.span_id] = tree
        while len(self._trees) > _MOST_OPEN:
            self._trees.popitem(last=False)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it if it belongs to a job."""
        own = span.get_span_context()
        tree = self._trees.pop(own.span_id, None) if own else None
        if own is None or tree is None:
            return
        tree.job = tree.job or _job(span)
        tree.finished.append(span)
        if tree.job is not None:
            self._waiting.extend((tree.job, one) for one in tree.finished)
            tree.finished.clear()
        elif tree.root == own.span_id:
            tree.finished.clear()

    @contextlib.asynccontextmanager
    async def sending(self, broker: Broker, every_s: float = EVERY_S) -> AsyncIterator[None]:
        """Send what is finished every now and then for as long as the context lasts."""
        spans = JobSpans(broker)

        async def send_for_ever() -> None:
            while True:
                await asyncio.sleep(every_s)
                with contextlib.suppress(UnavailableError):
                    await self.send(spans)

        sending = asyncio.create_task(send_for_ever())
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            with contextlib.suppress(UnavailableError):
                await self.send(spans)

    async def send(self, spans: JobSpans) -> None:
        """Send all that waits; UnavailableError if the broker is away, and it waits on."""
        while self._waiting:
            batch = list(islice(self._waiting, _BATCH))
            by_job: dict[str, list[Span]] = {}
            for job, span in batch:
                by_job.setdefault(job, []).append(span_of(span))
            for job, several in by_job.items():
                await spans.write(job, several)
            for _ in batch:
                if self._waiting:
                    self._waiting.popleft()


def span_of(span: ReadableSpan) -> Span:
    """A finished span as services hand it on."""
    own = span.get_span_context()
    if own is None:
        raise ValueError("a span without a context cannot be handed on")
    began, ended = span.start_time or 0, span.end_time or span.start_time or 0
    resource = span.resource.attributes
    return Span(
        trace_id=format_trace_id(own.trace_id),
        span_id=format_span_id(own.span_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent else None,
        name=span.name,
        kind=SpanKind(span.kind.name.lower()),
        service=str(resource.get("service.name", "unknown")).removeprefix("myspinbot-"),
        instance=str(resource.get("service.instance.id", "")) or None,
        started_at=datetime.fromtimestamp(began / 1e9, UTC),
        duration_s=max(ended - began, 0) / 1e9,
        failed=span.status.status_code is StatusCode.ERROR,
        attributes=_plain(span.attributes),
        links=tuple(
            SpanLink(
                trace_id=format_trace_id(link.context.trace_id),
                span_id=format_span_id(link.context.span_id),
                attributes=_plain(link.attributes),
            )
            for link in span.links
        ),
    )


def _job(span: ReadableSpan) -> str | None:
    value = (span.attributes or {}).get(JOB)
    return value if isinstance(value, str) else None


def _plain(attributes: Mapping[str, object] | None) -> dict[str, AttributeValue]:
    return {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in (attributes or {}).items()
        if isinstance(value, str | bool | int | float | list | tuple)
    }
