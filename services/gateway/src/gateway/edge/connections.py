"""Connections that can be ended at once, whatever still waits to be sent over them.

Closing a connection the usual way first sends what waits. To a client that takes nothing,
because its machine is gone or its program stands still, that lasts for ever, and so would
the memory that it holds. Nor does the system keep much for a client that is slow: what it
takes from us, megabytes of it, could not be replaced by anything newer any more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABORT = "myspinbot.abort"
_HEAD_S = 20.0
_HEAD_BYTES = 64 << 10
_UNSENT_BYTES = 128 << 10


def abort(scope: Scope) -> None:
    """End a connection at once. What serves it sees that the client is gone."""
    ends: Callable[[], None] | None = (scope.get("extensions") or {}).get(_ABORT)
    if ends is not None:
        ends()


def _hold_little(transport: asyncio.Transport) -> None:
    """Let the system take over no more than it may send soon. Data on its way does not count."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1; `abort` knows its connections, and the head of a request comes soon and short.

    Else whoever opens connections and says nothing, or never comes to an end, fills the process.
    """

    _head: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        _hold_little(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._had_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A client says something."""
        super().data_received(data)
        if self._head is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._had_head()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._had_head()
        self._head = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _had_head(self) -> None:
        self._head_bytes = 0
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._expect_head()
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
