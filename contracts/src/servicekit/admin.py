"""The small HTTP server of each service for operators: /health, /ready and /metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from servicekit import metrics

StartResponse = Callable[..., Any]


@dataclass(slots=True)
class Readiness:
    """What a service still waits for. It is ready when that is nothing."""

    waiting_for: set[str] = field(default_factory=lambda: {"start"})

    @property
    def ready(self) -> bool:
        """Whether the service does its work."""
        return not self.waiting_for

    def reached(self, what: str) -> None:
        """The service no longer waits for this."""
        self.waiting_for.discard(what)

    def lost(self, what: str) -> None:
        """The service waits for this again."""
        self.waiting_for.add(what)

    def describe(self) -> dict[str, Any]:
        """As `/ready` tells it."""
        return {"ready": self.ready, "waitingFor": sorted(self.waiting_for)}


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Operators' probes are not worth a line each."""


def serve(port: int, readiness: Readiness, host: str = "127.0.0.1") -> Callable[[], None]:
    """Serve from a thread of its own; returns what stops it."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                text, media_type = metrics.render(environ.get("HTTP_ACCEPT"))
                start_response("200 OK", [("Content-Type", media_type)])
                return [text]
            case "/health":
                status, body = "200 OK", {"status": "ok"}
            case "/ready":
                status = "200 OK" if readiness.ready else "503 Service Unavailable"
                body = readiness.describe()
            case _:
                status, body = "404 Not Found", {"status": "not_found"}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    server = make_server(host, port, app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
