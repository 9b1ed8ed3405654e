"""What every service tells of itself, and how it is written for who asks.

Prometheus asks for OpenMetrics, which has room for exemplars: a trace beside a measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventlog.metrics import exemplar
from prometheus_client import REGISTRY, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

# Half as many series again, of which no question is asked.
disable_created_metrics()  # type: ignore[no-untyped-call]

READY = Gauge("myspinbot_service_ready", "1 while the service does its work, as `/ready` tells")
S3_SECONDS = Histogram(
    "myspinbot_s3_request_seconds",
    "Time until the object store answered, the bytes of an object that is read not included",
    ("operation", "outcome"),
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


@dataclass(slots=True)
class Outcome:
    """How something that is measured ended, by one of a few names."""

    name: str


@contextmanager
def asking_store(operation: str) -> Iterator[Outcome]:
    """Measures one request to the object store; it `failed` unless the outcome is changed."""
    outcome, begun = Outcome("failed"), time.perf_counter()
    try:
        yield outcome
    finally:
        took_s = time.perf_counter() - begun
        S3_SECONDS.labels(operation, outcome.name).observe(took_s, exemplar())


def render(accept: str | None) -> tuple[bytes, str]:
    """All metrics of this process and their media type, by what the `Accept` header asks for."""
    encode, media_type = choose_encoder(accept or "")
    return encode(REGISTRY), media_type
