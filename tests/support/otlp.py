"""A real OTLP collector for tests, and what it passed on: spans, read back as they were sent.

Services send to a Rotel; it forwards to a small OTLP/HTTP receiver in the test's own process, which
decodes the protobuf messages of https://opentelemetry.io/docs/specs/otlp/.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.ports import free_ports

needs_rotel = pytest.mark.skipif(
    find_spec("rotel") is None and not os.environ.get("CI"),
    reason="the OTLP collector is not installed: pip install rotel",
)


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it came over OTLP. Times are in nanoseconds since 1970."""

    trace: str
    span: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[tuple[str, str, dict[str, Any]], ...]
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])


@dataclass(slots=True)
class Receiver:
    """Everything that was received so far."""

    url: str
    requests: int = 0
    spans: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: ExportTraceServiceRequest) -> None:
        found = [
            _received(span, resource_spans.resource)
            for resource_spans in message.resource_spans
            for scope in resource_spans.scope_spans
            for span in scope.spans
        ]
        with self.changed:
            self.requests += 1
            self.spans += found
            self.changed.notify_all()

    def until(
        self, enough: Callable[[list[Received]], bool], timeout_s: float = 90
    ) -> list[Received]:
        """The spans once there are enough; what there is after the time, to be looked at."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not enough(self.spans) and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)
            return list(self.spans)


@contextlib.contextmanager
def receiver(port: int | None = None) -> Iterator[Receiver]:
    """An OTLP/HTTP receiver in this process."""
    port = port or free_ports(1)[0]
    received = Receiver(f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            message = ExportTraceServiceRequest()
            message.ParseFromString(body)
            received.take(message)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def collector(folder: Path, to: Receiver) -> Iterator[str]:
    """A Rotel that forwards to a receiver; gives the endpoint for services."""
    import rotel

    program = Path(rotel.__file__).parent / "rotel-agent"
    grpc, http = free_ports(2)
    command = [
        str(program),
        "start",
        f"--otlp-grpc-endpoint=127.0.0.1:{grpc}",
        f"--otlp-http-endpoint=127.0.0.1:{http}",
        f"--pid-file={folder / 'rotel.pid'}",
        "--batch-timeout=100ms",
        "--exporter=otlp",
        "--otlp-exporter-protocol=http",
        f"--otlp-exporter-endpoint={to.url}",
    ]
    with (folder / "rotel.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _await_listening(http, process)
        yield f"http://127.0.0.1:{http}"
    finally:
        process.terminate()
        process.wait(20)


def _await_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("the collector did not start")


def _received(span: Any, resource: Any) -> Received:
    return Received(
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == 2,
        attributes=_attributes(span.attributes),
        links=tuple(
            (one.trace_id.hex(), one.span_id.hex(), _attributes(one.attributes))
            for one in span.links
        ),
        resource=_attributes(resource.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
