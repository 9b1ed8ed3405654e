"""Bounds the bodies that are read into memory, whoever sends them.

Files are streamed, and have limits of their own; everything else is small JSON, and a
framework that collects it would collect without end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, ProblemKind, response

JSON_BYTES = 256 << 10
"""The longest JSON body, in bytes."""

_STREAMED = re.compile(r"POST /api/(train|generate|jobs)|PUT /api/uploads/[^/]+/parts/[^/]+")


class BodyLimit:
    """ASGI middleware: 413 for a body that is too long, before more of it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or _STREAMED.fullmatch(f"{scope['method']} {scope['path']}"):
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > JSON_BYTES:
            await response(_too_long(), scope["path"])(scope, receive, send)
            return
        left, refused = JSON_BYTES, False

        async def counted() -> Message:
            nonlocal left, refused
            message = await receive()
            left -= len(message.get("body", b""))
            if left >= 0 or refused:
                return message
            refused = True
            # It may have no end, so nobody waits for that.
            problem = _too_long({"Connection": "close"})
            await response(problem, scope["path"])(scope, receive, send)
            # For whoever was reading, the client has gone.
            return {"type": "http.disconnect"}

        async def answered(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, counted, answered)


def _too_long(headers: Mapping[str, str] | None = None) -> Problem:
    return Problem(
        ProblemKind.UPLOAD_TOO_LARGE,
        f"The JSON body is larger than {JSON_BYTES:,} bytes.",
        "Send less; files go to /api/uploads.",
        headers,
        limit=JSON_BYTES,
    )
