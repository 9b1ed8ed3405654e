"""Connections that can be ended at once, whatever still waits to be sent over them.

Closing a connection the usual way first sends what waits. To a client that takes nothing,
because its machine is gone or its program stands still, that lasts for ever, and so would
the memory that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABORT = "myspinbot.abort"


def abort(scope: Scope) -> None:
    """End a connection at once. What serves it sees that the client is gone."""
    ends: Callable[[], None] | None = (scope.get("extensions") or {}).get(_ABORT)
    if ends is not None:
        ends()


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1; `abort` knows its connections."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
        extensions[_ABORT] = self.transport.abort


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSockets; `abort` knows its connections, and who answers no ping is gone."""

    async def run_asgi(self) -> None:
        """Serve the connection."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[_ABORT] = self.transport.abort
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        """No answer came to a ping."""
        super().keepalive_timeout()
        self.transport.abort()
