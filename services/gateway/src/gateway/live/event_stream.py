"""Server-sent events as an HTTP response: what is sent, until it ends or somebody goes.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Protocol

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import metrics
from gateway.edge.connections import abort
from gateway.live.pulse import Pulse
from gateway.live.told import Told


class Source(Protocol):
    """What one client is sent."""

    def blocks(self) -> AsyncGenerator[str, None]:
        """Blocks of server-sent events, until there are no more."""

    def beat(self) -> None:
        """Have `blocks` give a comment, as nothing else was sent for a while."""


HEARTBEAT = ": heartbeat\n\n"
RETRY = "retry: 2000\n\n"
"""How soon an EventSource comes back, in milliseconds."""


def block(event: str, data: dict[str, Any]) -> str:
    """One event."""
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


def told_block(event: str, told: Told, *, with_id: bool = False) -> str:
    """One event of what is JSON already; with its place as the id from where to go on."""
    place = f"id: {told.place}\n" if with_id else ""
    return f"{place}event: {event}\ndata: {told.text}\n\n"


class EventStream(Response):
    """Sends the blocks of a source until it ends, its client leaves, or `closing` is set."""

    media_type = "text/event-stream"

    def __init__(self, source: Source, closing: asyncio.Event) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        with metrics.STREAMS.track_inprogress():
            await _first(self._send(scope, send), _gone(receive), self._closing.wait())

    async def _send(self, scope: Scope, send: Send) -> None:
        def end() -> None:
            metrics.STALLED.labels("sse").inc()
            abort(scope)

        with Pulse(self._source.beat, end) as pulse:
            async with contextlib.aclosing(self._source.blocks()) as blocks:
                async for text in blocks:
                    if text:
                        pulse.sending()
                        body = text.encode()
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                        pulse.sent()
            await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(*works: Awaitable[Any]) -> None:
    """Do several things until one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
