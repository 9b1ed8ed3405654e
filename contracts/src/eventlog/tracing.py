"""W3C trace context across NATS: carried in the `traceparent` header of every message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

_tracer = trace.get_tracer("myspinbot.eventlog")


def current_traceparent() -> str | None:
    """The trace context of what is running now, or None outside any trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continued(
    name: str,
    traceparent: str | None,
    kind: SpanKind = SpanKind.CONSUMER,
    attributes: dict[str, str | int | float] | None = None,
) -> Iterator[Span]:
    """A span that goes on with the trace that came with a message."""
    context = propagate.extract({"traceparent": traceparent} if traceparent else {})
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes or {}
    ) as span:
        yield span
