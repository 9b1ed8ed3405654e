"""What the gateway counts, for `/metrics`."""

from __future__ import annotations

from contracts.events import JobType
from prometheus_client import Counter, Gauge, Histogram

from gateway.uploads.judge import FileKind

REQUESTS = Counter(
    "myspinbot_gateway_requests_total",
    "HTTP requests answered",
    ("method", "route", "status"),
)
LATENCY = Histogram(
    "myspinbot_gateway_request_seconds",
    "Time from a request's first byte to its answer's last",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
UPLOADED_BYTES = Counter(
    "myspinbot_gateway_upload_bytes_total", "Bytes of files received", ("kind",)
)
JOBS = Counter("myspinbot_gateway_jobs_requested_total", "Jobs that entered the log", ("type",))
SOCKETS = Gauge("myspinbot_gateway_ws_clients", "Open WebSocket connections")
SUBSCRIPTIONS = Gauge("myspinbot_gateway_ws_subscriptions", "Jobs watched over WebSockets")
LIVE_JOBS = Gauge("myspinbot_gateway_live_jobs", "Jobs whose state is held in memory")
STREAMS = Gauge("myspinbot_gateway_sse_clients", "Open event streams")
STALLED = Counter(
    "myspinbot_gateway_stalled_clients_total", "Clients let go as they took nothing", ("way",)
)

# What has not happened yet counts as 0, so that the first time shows as an increase.
for _kind in FileKind:
    UPLOADED_BYTES.labels(_kind)
for _type in JobType:
    JOBS.labels(_type)
for _way in ("websocket", "sse", "download"):
    STALLED.labels(_way)
