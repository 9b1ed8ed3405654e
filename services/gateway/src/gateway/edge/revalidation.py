"""Lets clients ask whether anything has changed: weak ETags on everything that is JSON.

A view is made anew for each request, which costs little; what is saved is sending it. Weak,
as two views that are equal need not be equal byte for byte in another version.
"""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.artifacts.downloads import known

_PREFIX = "/api/"
_JSON = "application/json"
# What a body's headers say has no place beside a status that has no body.
_OF_BODY = ("content-length", "content-type")


class Revalidation:
    """ASGI middleware for GET under /api: `ETag`, and 304 for `If-None-Match` (RFC 9110, 13)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not scope["path"].startswith(_PREFIX)
        ):
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("if-none-match")
        held: Message | None = None
        body = bytearray()

        async def tagged(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_view(message):
                held = message
                return
            if held is None or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers = MutableHeaders(scope=held)
            headers["ETag"] = etag
            headers.setdefault("Cache-Control", "private, no-cache")
            if known(etag, wanted):
                held["status"] = 304
                for name in _OF_BODY:
                    del headers[name]
                body.clear()
            await send(held)
            await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(scope, receive, tagged)


def _is_view(start: Message) -> bool:
    """Whether this begins a view that was made now: artifacts that are JSON have their own tag."""
    headers = Headers(raw=start["headers"])
    media_type = headers.get("content-type", "").partition(";")[0]
    return start["status"] == 200 and media_type == _JSON and "etag" not in headers
