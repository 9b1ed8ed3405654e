"""Finds out on whose behalf a request is made, from what it brings."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from eventlog.keyvalue import KeyValue
from eventlog.log import utc_now
from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope as Connection

from gateway.access import sessions
from gateway.access.book import TokenBook
from gateway.access.buckets import Buckets, limit
from gateway.access.links import Links
from gateway.access.lives import Lives
from gateway.access.principal import LOCAL_OWNER, Mode, Principal, Scope, expanded
from gateway.access.sessions import Session, Sessions
from gateway.access.settings import AccessSettings
from gateway.access.signing import Signer
from gateway.access.tokens import Presented, credential, digest
from gateway.problems import Problem, ProblemKind

log = structlog.get_logger(__name__)

_SUBPROTOCOL = "bearer."
_ADMIN = "admin"
_LOCAL = Principal(LOCAL_OWNER, expanded((Scope.ADMIN,)), "local")


class Authenticator:
    """What the gateway knows about credentials, in the mode that it is run in."""

    def __init__(self, settings: AccessSettings, now: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.now = now
        signer = Signer(settings.secret)
        self.sessions = Sessions(signer)
        self.links = Links(signer)
        self.lives = Lives()
        self.book = TokenBook(lambda token: self.lives.end(credential(token)))
        self._admin = digest(settings.admin_token) if settings.admin_token else None
        self._failures = Buckets(settings.rates.failures_per_minute, 60, time.monotonic)
        self._jwts = None
        if settings.provider is not None:
            # Imported where it is used: most installations have no identity provider.
            from gateway.access.oidc import Keys, Verifier

            self._jwts = Verifier(settings.provider, Keys(settings.provider, time.monotonic))
        if settings.mode is not Mode.LOCAL and not settings.lasting:
            log.warning(
                "access.secret_unset",
                detail="sessions and signed links end with this process and are unknown to other "
                "gateways; set MYSPINBOT_SECRET to 32 random bytes, the same for all of them",
            )

    async def follow(self, values: KeyValue, started: Callable[[], None]) -> None:
        """Know which tokens are good, for ever. Calls back once they were read."""

        def read() -> None:
            if self.mode is Mode.TOKEN and not self._administered():
                log.warning(
                    "access.no_administrator",
                    detail="nobody can make tokens; set MYSPINBOT_ADMIN_TOKEN to 32 random bytes, "
                    "and send them as a Bearer token to POST /api/tokens",
                )
            started()

        await self.book.follow(values, read)

    def _administered(self) -> bool:
        now = self.now()
        admins = (one for one in self.book.of(None) if Scope.ADMIN in one.scopes and one.live(now))
        return self._admin is not None or any(admins)

    @property
    def mode(self) -> Mode:
        """How people are known here."""
        return self.settings.mode

    async def identify(self, connection: Connection) -> Principal | None:
        """Who makes a request, or None if it brings nothing.

        Raises Problem (401) if what it brings is not good, (503) if that cannot be told now.
        """
        headers = Headers(scope=connection)
        reads = connection["type"] == "http" and connection["method"] in ("GET", "HEAD")
        if reads and b"signature=" in connection["query_string"]:
            return self._by_link(connection)
        if self.mode is Mode.LOCAL:
            return _LOCAL
        if token := _bearer(connection, headers):
            return await self.verify(token)
        if cookie := sessions.presented(headers.get("cookie", "")):
            return self.by_cookie(cookie)
        return None

    async def verify(self, token: str) -> Principal:
        """Whom an API token, the administrator's token or a JWT stands for; Problem if none."""
        if self._admin and hmac.compare_digest(digest(token), self._admin):
            return Principal(LOCAL_OWNER, _LOCAL.scopes, self._admin_credential)
        if (presented := Presented.parse(token)) is not None:
            if (record := self.book.check(presented, self.now())) is not None:
                return record.principal()
            raise unauthenticated("The token is not one of this gateway's, or not any more.")
        if self._jwts is not None:
            from gateway.access.oidc import InvalidJwtError

            try:
                return await self._jwts.principal(token)
            except InvalidJwtError as error:
                raise unauthenticated(f"The JWT is not good: {error}.") from error
        raise unauthenticated("This is not the form of a token.")

    def failed(self, address: str) -> None:
        """Somebody there has shown a wrong credential; Problem (429) if once too often.

        Whoever shows a right one is let in all the same, however many others fail.
        """
        limit(self._failures, address)

    def by_cookie(self, cookie: str) -> Principal | None:
        """Whom the page's cookie stands for; None if it has ended, as after signing out."""
        session = self.sessions.unseal(cookie, self.now())
        return session.principal() if session and self._still_good(session) else None

    def _still_good(self, session: Session) -> bool:
        kind, _, token_id = session.credential.partition(":")
        if self.mode is Mode.LOCAL:
            return kind == _LOCAL.credential
        if kind == "token":
            record = self.book.find(token_id)
            return record is not None and record.live(self.now())
        if kind == _ADMIN:
            return session.credential == self._admin_credential
        return kind == "oidc" and self.mode is Mode.OIDC

    @property
    def _admin_credential(self) -> str:
        """Names the administrator's token, so that another one ends the sessions of this one."""
        return f"{_ADMIN}:{self._admin[:16]}" if self._admin else ""

    def _by_link(self, connection: Connection) -> Principal:
        query = QueryParams(connection["query_string"])
        owner = self.links.verify(connection["path"], query, self.now())
        if owner is None:
            raise Problem(
                ProblemKind.LINK_EXPIRED,
                "The link is not good for this address, or not any more.",
                "Ask whoever gave it to you for a new one.",
            )
        return Principal(owner, frozenset({Scope.READ}), "link")


def local_session(authenticator: Authenticator) -> Session:
    """The session of the page on one's own machine."""
    return Session.of(_LOCAL, authenticator.now())


def unauthenticated(detail: str, *, tried: bool = True) -> Problem:
    """401 with the challenge of RFC 6750; `tried` if a credential was brought."""
    challenge = 'Bearer realm="myspinbot"' + (', error="invalid_token"' if tried else "")
    return Problem(
        ProblemKind.UNAUTHENTICATED,
        detail,
        "Send `Authorization: Bearer <token>`, or sign in on the page. An administrator makes "
        "tokens with POST /api/tokens.",
        {"WWW-Authenticate": challenge},
    )


def address_of(connection: Connection) -> str:
    """The client's network address, the key by which strangers are limited.

    Of IPv6 it is the network, as each customer has 2^64 addresses or more.
    """
    client = connection.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        address = None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _bearer(connection: Connection, headers: Headers) -> str | None:
    """The token of a request. A browser's WebSocket can bring one only as a subprotocol."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    for protocol in connection.get("subprotocols", ()):
        if protocol.startswith(_SUBPROTOCOL):
            return str(protocol.removeprefix(_SUBPROTOCOL))
    return None
