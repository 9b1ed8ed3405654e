"""Keeps other web sites out of a gateway that trusts whoever reaches it.

On one's own machine there is no password, so two things stand between a visited web page
and a user's face: the `Host` a browser names (a page cannot forge it, and with DNS
rebinding it is the attacker's own name), and the `Origin` it sends.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from gateway.access.principal import Mode
from gateway.problems import Problem, ProblemKind, response
from gateway.settings import Settings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Probes of an orchestrator come by address; these answers tell nothing about anybody.
_PROBES = frozenset({"/health", "/ready"})

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Whoever means something to be kept says so.
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=()",
}


def page_policy(store: str | None) -> str:
    """The Content-Security-Policy of the page, which may also send to the object `store`."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"connect-src 'self'{f' {store}' if store else ''}; "
        "img-src 'self' blob: data:; media-src 'self' blob:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def refusal(scope: Scope, settings: Settings) -> Problem | None:
    """Why a connection is not let in, or None if it is."""
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    if scope["path"] not in _PROBES and not _known(host, settings):
        return Problem(
            ProblemKind.FOREIGN_HOST,
            "The Host header names none of the names that this gateway goes by.",
            "Use http://127.0.0.1 or http://localhost with its port, or list the name in "
            "MYSPINBOT_ALLOWED_HOSTS.",
        )
    if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
        return None
    origin = headers.get("origin", "").lower()
    same = origin.partition("://")[2] == host or origin in settings.origins
    site = headers.get("sec-fetch-site", "none")
    if (origin and not same) or (not origin and site not in ("none", "same-origin")):
        return Problem(
            ProblemKind.FOREIGN_ORIGIN,
            "The request comes from the page of another site.",
            "Use the gateway's own page, or list the site in MYSPINBOT_ALLOWED_ORIGINS.",
        )
    return None


def _known(host: str, settings: Settings) -> bool:
    if settings.access.mode is not Mode.LOCAL and not settings.hosts:
        # Who rebinds a name has no token for it: credentials are enough.
        return True
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name in _LOOPBACK or name in settings.hosts or host in settings.hosts


class Guard:
    """ASGI middleware: lets in whom `refusal` does not name, and adds security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._policy = page_policy(settings.public_store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = refusal(scope, self._settings)
        if scope["type"] == "websocket":
            if problem is None:
                await self._app(scope, receive, send)
            else:
                await WebSocketClose(code=1008, reason=problem.kind.slug)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", self._policy)
            await send(message)

        if problem is None:
            await self._app(scope, receive, guarded)
        else:
            await response(problem, scope["path"])(scope, receive, guarded)
