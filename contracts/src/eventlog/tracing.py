"""W3C trace context across NATS, in the `traceparent` header, and the spans of our own work.

Names of attributes are OpenTelemetry's (https://opentelemetry.io/docs/specs/semconv/); what it has
no name for begins with `myspinbot.`. No attribute holds what a person wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

JOB = "myspinbot.job.id"
STAGE = "myspinbot.stage.id"
STAGE_KIND = "myspinbot.stage.kind"
ATTEMPT = "myspinbot.stage.attempt"
ENGINE = "myspinbot.engine"
LINK = "myspinbot.link"
"""On a link: what the other span is to this one, such as `former attempt`."""

Attributes = Mapping[str, str | bool | int | float]

SEND, RECEIVE, PROCESS = "send", "receive", "process"
"""What is done with messages, as OpenTelemetry names it."""

_MESSAGING = {
    "count": "messaging.batch.message_count",
    "group": "messaging.consumer.group.name",
    "message": "messaging.message.id",
    "size": "messaging.message.body.size",
}

_tracer = trace.get_tracer("myspinbot.eventlog")


def current_traceparent() -> str | None:
    """The trace context of what is running now, or None outside any trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


def recording() -> bool:
    """Whether what is running now is being traced."""
    return trace.get_current_span().is_recording()


def sampled(traceparent: str | None) -> bool:
    """Whether spans are kept of the trace that came with a message."""
    return trace.get_current_span(_context(traceparent)).get_span_context().trace_flags.sampled


def link(traceparent: str | None, what: str) -> Link | None:
    """A link to the span that a message came from; None if it is no trace context."""
    context = trace.get_current_span(_context(traceparent)).get_span_context()
    return Link(context, {LINK: what}) if context.is_valid else None


@contextmanager
def continued(
    name: str,
    traceparent: str | None,
    kind: SpanKind = SpanKind.CONSUMER,
    attributes: Attributes | None = None,
    *,
    links: Iterable[Link | None] = (),
    began: int | None = None,
) -> Iterator[Span]:
    """A span that goes on with the trace that came with a message.

    `began` is for what has begun already, in nanoseconds since 1970.
    """
    with (
        _tracer.start_as_current_span(
            name,
            context=_context(traceparent),
            kind=kind,
            attributes=dict(attributes or {}),
            links=[one for one in links if one],
            start_time=began,
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _failing(span),
    ):
        yield span


@contextmanager
def within(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    links: Iterable[Link | None] = (),
    expected: tuple[type[Exception], ...] = (),
) -> Iterator[Span]:
    """A span inside of what is being traced now; outside of any trace, nothing is recorded.

    An error that is `expected` is an answer like any other, and no failure.
    """
    if not recording():
        yield trace.INVALID_SPAN
        return
    with (
        _tracer.start_as_current_span(
            name,
            kind=kind,
            attributes=dict(attributes or {}),
            links=[one for one in links if one],
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _failing(span, expected),
    ):
        yield span


def failed(span: Span, error_type: str) -> None:
    """Mark a span as failed. Only the type is told: a message may quote what a person wrote."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", error_type)


def told(
    name: str,
    began: datetime | int,
    ended: datetime | int | None = None,
    *,
    traceparent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    links: Iterable[Link | None] = (),
    error_type: str | None = None,
) -> None:
    """A span of something that is over, with its times (in nanoseconds since 1970 if numbers).

    It belongs to the trace of `traceparent`, or else to what is being traced now. What seems to
    begin after its end, by clocks of two machines, has no length.
    """
    if traceparent is None and not recording():
        return
    end = time.time_ns() if ended is None else _nanoseconds(ended)
    span = _tracer.start_span(
        name,
        context=_context(traceparent) if traceparent else None,
        kind=kind,
        attributes=dict(attributes or {}),
        links=[one for one in links if one],
        start_time=min(_nanoseconds(began), end),
    )
    if error_type is not None:
        failed(span, error_type)
    span.end(end)


def add_link(traceparent: str | None, what: str) -> None:
    """Link what is being traced now to the span that a message came from."""
    if one := link(traceparent, what):
        trace.get_current_span().add_link(one.context, one.attributes)


def messaging(
    operation: str, stream: str, **more: str | int
) -> dict[str, str | bool | int | float]:
    """The attributes of an operation on a stream; `more` are named in `_MESSAGING`.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
    """
    return {
        "messaging.system": "nats",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": stream,
        **{_MESSAGING[name]: value for name, value in more.items()},
    }


@contextmanager
def _failing(span: Span, expected: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    try:
        yield
    except expected as error:
        span.set_attribute("error.type", type(error).__name__)
        raise
    except Exception as error:
        failed(span, type(error).__name__)
        raise


def _context(traceparent: str | None) -> Context:
    return propagate.extract({"traceparent": traceparent} if traceparent else {}, Context())


def _nanoseconds(moment: datetime | int) -> int:
    return moment if isinstance(moment, int) else round(moment.timestamp() * 1e6) * 1000
