"""What every service that works with the log measures of it, and how a measurement finds a trace.

Labels have few values each: owners, jobs and anything else that people choose are never labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from prometheus_client import Gauge, Histogram

from eventlog.errors import ConflictError, UnavailableError

APPEND_SECONDS = Histogram(
    "myspinbot_log_append_seconds",
    "Time until events that were appended together are in the log",
    ("outcome",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
CONNECTED = Gauge("myspinbot_broker_connected", "1 while there is a connection to the broker")

_OUTCOMES = ("appended", "conflict", "unavailable", "refused")
for _outcome in _OUTCOMES:
    # A rate of failures is 0 and not unknown as long as none happened.
    APPEND_SECONDS.labels(_outcome)


def exemplar(traceparent: str | None = None) -> dict[str, str] | None:
    """The trace that a measurement belongs to, as OpenMetrics asks for it; None outside of any.

    It is the trace of what runs now, or else of the message that `traceparent` came with.
    """
    context = trace.get_current_span().get_span_context()
    if not context.is_valid and traceparent is not None:
        carried = propagate.extract({"traceparent": traceparent}, Context())
        context = trace.get_current_span(carried).get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {"trace_id": trace.format_trace_id(context.trace_id)}


@contextmanager
def appending() -> Iterator[None]:
    """Measures one append, however it ends."""
    begun, outcome = time.perf_counter(), "refused"
    try:
        yield
        outcome = "appended"
    except ConflictError:
        outcome = "conflict"
        raise
    except UnavailableError:
        outcome = "unavailable"
        raise
    finally:
        APPEND_SECONDS.labels(outcome).observe(time.perf_counter() - begun, exemplar())
