"""ASGI middleware behind which every route knows its principal.

Closed unless it says otherwise: a route that is forgotten here is one that nobody enters
without credentials.
"""

from __future__ import annotations

import asyncio
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocketClose

from gateway.access import sessions
from gateway.access.authenticator import (
    Authenticator,
    address_of,
    local_session,
    unauthenticated,
)
from gateway.access.buckets import Buckets, limit
from gateway.access.principal import Mode, Principal, Scope
from gateway.edge.connections import abort
from gateway.problems import Problem, ProblemKind, response

_SESSION = "/api/session"
_DOCUMENTS = ("/docs", "/openapi.json", "/asyncapi", "/asyncapi.json", "/asyncapi.yaml")
_OPEN = frozenset({"/", *_DOCUMENTS, "/health", "/ready", "/problems", _SESSION})
_OPEN_UNDER = ("/page/", "/problems/")
_MAKES_A_JOB = re.compile(
    r"/api/(jobs|train|generate|jobs/[^/]+/(fork|retry)|dead-letters/.+/retry)"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY_VIOLATION = 1008
_GRACE_S = 5.0


class Door:
    """Identifies, limits and admits."""

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, origins: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._auth = authenticator
        self._origins = origins
        rates = authenticator.settings.rates
        self._requests = Buckets(rates.requests_per_minute, 60, time.monotonic)
        self._jobs = Buckets(rates.jobs_per_hour, 3600, time.monotonic)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._admitted(scope)
        except Problem as problem:
            await _refuse(problem, scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        if principal is None:
            await self._app(scope, receive, send)
        else:
            await self._serve(principal, scope, receive, send)

    async def _admitted(self, scope: Connection) -> Principal | None:
        """Whom to let in; None for somebody unknown where anybody may come. Raises Problem."""
        path, address = scope["path"], address_of(scope)
        try:
            principal = await self._auth.identify(scope)
        except Problem as problem:
            if path == _SESSION and problem.kind is ProblemKind.UNAUTHENTICATED:
                return None
            if problem.kind in (ProblemKind.UNAUTHENTICATED, ProblemKind.LINK_EXPIRED):
                self._auth.failed(address)
            raise
        free = path in _OPEN or path.startswith(_OPEN_UNDER)
        if principal is not None or not free or path == _SESSION:
            limit(self._requests, principal.owner if principal else f"@{address}")
        if principal is None:
            if free:
                return None
            raise unauthenticated("This needs a token, and none was sent.", tried=False)
        self._check_page(principal, scope)
        _check_scope(principal, scope)
        if scope["type"] == "http" and scope["method"] == "POST" and _MAKES_A_JOB.fullmatch(path):
            limit(self._jobs, principal.owner)
        return principal

    def _check_page(self, principal: Principal, scope: Connection) -> None:
        """Problem if a browser's request to change something does not come from our own page."""
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS:
            return
        headers = Headers(scope=scope)
        origin, site = headers.get("origin", "").lower(), headers.get("sec-fetch-site")
        if principal.by_cookie and not origin and site is None:
            # Other origins were refused before; here nothing tells that it is not one.
            raise Problem(
                ProblemKind.FOREIGN_ORIGIN,
                "A request with the page's cookie does not say which page sent it.",
                "Programs send `Authorization: Bearer <token>` instead of the cookie.",
            )
        if self._auth.mode is not Mode.LOCAL or scope["path"] == _SESSION:
            return
        browser = bool(origin) or any(name.startswith("sec-fetch-") for name in headers)
        if browser and origin not in self._origins and not self._has_session(headers):
            raise Problem(
                ProblemKind.NO_SESSION,
                "The page has no session with this gateway, or the gateway was started anew.",
                "Load the page again, or GET /api/session, which begins a session.",
            )

    async def _serve(
        self, principal: Principal, scope: Connection, receive: Receive, send: Send
    ) -> None:
        """Serve; a socket or an event stream ends with the credential that opened it."""
        ended = False

        async def watched(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                self._greet(scope, message)
                if _is_event_stream(message):
                    life.without_end()
            elif message["type"] == "websocket.accept":
                _answer_subprotocol(scope, message)
            ended = message["type"] == "websocket.close" or (
                message["type"] == "http.response.body" and not message.get("more_body", False)
            )
            await send(message)

        try:
            async with asyncio.timeout(None) as timeout:
                with self._auth.lives.one(principal, timeout, self._auth.now()) as life:
                    if scope["type"] == "websocket":
                        life.without_end()
                    await self._app(scope, receive, watched)
        except TimeoutError:
            if not timeout.expired():
                raise
            if not ended:
                await _end(scope, send)

    def _greet(self, scope: Connection, start: Message) -> None:
        """Give the page on one's own machine its session, and again once that is lost.

        A page stays open while the gateway is started anew or a week goes by; what it asks
        for shows that it is ours, as no other site's page can claim so.
        """
        if self._auth.mode is not Mode.LOCAL or scope["method"] != "GET":
            return
        path, headers = scope["path"], Headers(scope=scope)
        ours = path.startswith("/api/") and headers.get("sec-fetch-site") == "same-origin"
        if path in ("/", _SESSION) or (ours and not self._has_session(headers)):
            value = self._auth.sessions.seal(local_session(self._auth))
            cookie = sessions.set_cookie(value, sessions.LASTS, secure=scope["scheme"] == "https")
            MutableHeaders(scope=start).append("Set-Cookie", cookie)

    def _has_session(self, headers: Headers) -> bool:
        cookie = sessions.presented(headers.get("cookie", ""))
        return cookie is not None and self._auth.by_cookie(cookie) is not None


_LAST: dict[str, Message] = {
    "http": {"type": "http.response.body", "body": b"", "more_body": False},
    "websocket": {
        "type": "websocket.close",
        "code": _POLICY_VIOLATION,
        "reason": ProblemKind.UNAUTHENTICATED.slug,
    },
}


def _check_scope(principal: Principal, scope: Connection) -> None:
    """Problem (403) if the principal's scopes do not reach."""
    if scope["path"] == "/metrics":
        # Counts of everybody's work.
        needed = Scope.ADMIN
    elif scope["type"] == "websocket" or scope["method"] in _SAFE_METHODS:
        needed = Scope.READ
    else:
        needed = Scope.WRITE
    if scope["path"] != _SESSION:
        require(principal, needed)


def require(principal: Principal, needed: Scope) -> None:
    """Problem (403) if the principal has not the scope."""
    if not principal.allows(needed):
        raise Problem(
            ProblemKind.FORBIDDEN,
            f"This needs the scope {needed}, and the token has "
            f"{', '.join(sorted(principal.scopes)) or 'none'}.",
            "Use a token with that scope; whoever has one may make it with POST /api/tokens.",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
            needed=needed.value,
        )


async def _end(scope: Connection, send: Send) -> None:
    """Say the last word; whoever does not take it loses the connection without."""
    try:
        async with asyncio.timeout(_GRACE_S):
            await send(_LAST[scope["type"]])
    except TimeoutError:
        abort(scope)


async def _refuse(problem: Problem, scope: Connection, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await response(problem, scope["path"])(scope, receive, send)
    else:
        close = WebSocketClose(code=_POLICY_VIOLATION, reason=problem.kind.slug)
        await close(scope, receive, send)


def _is_event_stream(start: Message) -> bool:
    content_type = MutableHeaders(scope=start).get("content-type", "")
    return content_type.startswith("text/event-stream")


def _answer_subprotocol(scope: Connection, accept: Message) -> None:
    """Choose a subprotocol if some were offered: a browser takes silence for a refusal."""
    offered = scope.get("subprotocols") or ()
    if offered and not accept.get("subprotocol"):
        # Rather one that is no token, so that none is sent back.
        accept["subprotocol"] = min(offered, key=lambda one: one.startswith("bearer."))
