"""A span and a measurement for every request.

The span goes on with the caller's trace if it brought one, and the job that the request
makes goes on with the span: one trace reaches from the browser to the last stage.
"""

from __future__ import annotations

import time

from eventlog.metrics import exemplar
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import metrics

_tracer = trace.get_tracer("myspinbot.gateway")
# Operators ask for these every few seconds.
_UNTRACED = frozenset({"/health", "/ready", "/metrics"})


class Telemetry:
    """ASGI middleware: OpenTelemetry's HTTP server conventions, and Prometheus metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in _UNTRACED:
            await self._measured(scope, receive, send)
            return
        method = scope["method"]
        with _tracer.start_as_current_span(
            method,
            context=propagate.extract(Headers(scope=scope)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": scope["path"]},
        ) as span:
            status = await self._measured(scope, receive, send)
            span.update_name(f"{method} {route_of(scope)}")
            span.set_attribute("http.route", route_of(scope))
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> int:
        status = 500
        begun = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            method, route = scope["method"], route_of(scope)
            metrics.REQUESTS.labels(method, route, str(status)).inc()
            took_s = time.perf_counter() - begun
            metrics.LATENCY.labels(method, route).observe(took_s, exemplar())
        return status


def route_of(scope: Scope) -> str:
    """The pattern of the path, so that ids do not become labels."""
    return str(getattr(scope.get("route"), "path", "unmatched"))
