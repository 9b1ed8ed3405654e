"""Bounds the bodies of requests: how long they are, and how long they take to come.

Files are streamed, and have limits of their own; everything else is small JSON, and a
framework that collects it would collect without end. What comes a byte at a time keeps the
places that others wait for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, ProblemKind, response

JSON_BYTES = 256 << 10
"""The longest JSON body, in bytes."""

_GRACE_S = 20.0
_LEAST_RATE = 16 << 10
_STREAMED = re.compile(r"POST /api/(train|generate|jobs)|PUT /api/uploads/[^/]+/parts/[^/]+")


class BodyLimit:
    """ASGI middleware: 413 for a body that is too long, before more of it is read.

    And 408 for one that is slower than 16 KiB a second, but for 20 seconds at the beginning.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = _STREAMED.fullmatch(f"{scope['method']} {scope['path']}")
        length = Headers(scope=scope).get("content-length", "")
        if not streamed and length.isdecimal() and int(length) > JSON_BYTES:
            await response(_too_long(), scope["path"])(scope, receive, send)
            return
        read, waited_s, whole, refused = 0, 0.0, False, False
        loop = asyncio.get_running_loop()

        async def counted() -> Message:
            nonlocal read, waited_s, whole
            if whole or refused:
                return await receive()
            begun = loop.time()
            try:
                async with asyncio.timeout(_GRACE_S + read / _LEAST_RATE - waited_s):
                    message = await receive()
            except TimeoutError:
                return await refuse(_too_slow())
            waited_s += loop.time() - begun
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > JSON_BYTES and not streamed:
                return await refuse(_too_long({"Connection": "close"}))
            return message

        async def refuse(problem: Problem) -> Message:
            nonlocal refused
            # The body may have no end, so nobody waits for that.
            refused = True
            await response(problem, scope["path"])(scope, receive, send)
            # For whoever was reading, the client has gone.
            return {"type": "http.disconnect"}

        async def answered(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, counted, answered)


def _too_slow() -> Problem:
    return Problem(
        ProblemKind.TOO_SLOW,
        f"The body comes more slowly than {_LEAST_RATE:,} bytes a second.",
        "Send it again over a better connection; POST /api/uploads goes on where it was cut off.",
        {"Connection": "close"},
    )


def _too_long(headers: Mapping[str, str] | None = None) -> Problem:
    return Problem(
        ProblemKind.UPLOAD_TOO_LARGE,
        f"The JSON body is larger than {JSON_BYTES:,} bytes.",
        "Send less; files go to /api/uploads.",
        headers,
        limit=JSON_BYTES,
    )
