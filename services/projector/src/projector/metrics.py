"""What operators see of the projector."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventlog.metrics import exemplar
from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("myspinbot_projector_events", "Events written to the views")
POSITION = Gauge("myspinbot_projector_position", "Log sequence that the views have reached")
LAG_EVENTS = Gauge("myspinbot_projector_lag_events", "Events in the log but not in the views")
LAG_SECONDS = Gauge(
    "myspinbot_projector_lag_seconds", "Age of the newest event in the views while behind, or 0"
)
HALTED = Gauge("myspinbot_projector_halted", "1 while an operator has to act, see /ready")
QUERY_SECONDS = Histogram(
    "myspinbot_projector_query_seconds",
    "Time to answer a query, waiting for the position included",
    ("query", "outcome"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 5, 10),
)

SQL_SECONDS = Histogram(
    "myspinbot_sql_transaction_seconds",
    "Time of a transaction at the database, from its beginning to its commit",
    ("transaction", "outcome"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@dataclass(slots=True)
class Outcome:
    """How a timed query ended."""

    name: str = "internal"


@contextmanager
def timed(query: str) -> Iterator[Outcome]:
    """Measures one query."""
    outcome, start = Outcome(), time.perf_counter()
    try:
        yield outcome
    finally:
        took_s = time.perf_counter() - start
        QUERY_SECONDS.labels(query, outcome.name).observe(took_s, exemplar())


@contextmanager
def transaction(kind: str) -> Iterator[None]:
    """Measures one transaction that reads or writes."""
    start, outcome = time.perf_counter(), "failed"
    try:
        yield
        outcome = "ok"
    finally:
        SQL_SECONDS.labels(kind, outcome).observe(time.perf_counter() - start, exemplar())
