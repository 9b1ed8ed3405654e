"""JWTs of an OpenID Connect provider (RFC 7519, RFC 8725, OpenID Connect Core 1.0).

Only RS256 and ES256 are believed, and only with a key that the provider publishes: with
`none` or HS256 a token could be made by anybody who can read the public key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import structlog

from gateway.access.principal import Principal, Scope, expanded
from gateway.access.settings import Provider
from gateway.problems import unavailable

log = structlog.get_logger(__name__)

_KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}
_LEEWAY_S = 30
_REFETCH_AFTER_S = 60.0
_RETRY_AFTER_S = 5.0
_FRESH_FOR_S = 600.0
_FETCH_TIMEOUT_S = 5.0
_CLAIMS = ("exp", "iat", "iss", "aud", "sub")
_WELL_KNOWN = "/.well-known/openid-configuration"


class InvalidJwtError(Exception):
    """The token is not one of the provider's for us, or not any more. Says why."""


class Keys:
    """The provider's public keys, fetched when needed and at most once a minute."""

    def __init__(self, provider: Provider, clock: Callable[[], float]) -> None:
        self._provider = provider
        self._clock = clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._next_try_at = clock()
        self._lock = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of this id; without an id the only key there is.

        Raises Problem (503) while the provider cannot be reached and never was.
        """
        if self._known(kid) is None:
            await self._refresh()
        elif self._stale() and (self._refreshing is None or self._refreshing.done()):
            # Nobody waits for news while there is a key.
            self._refreshing = asyncio.create_task(self._refresh())
        if self._fetched_at is None:
            raise unavailable("The identity provider does not answer.")
        return self._known(kid)

    async def _refresh(self) -> None:
        async with self._lock:
            if self._clock() >= self._next_try_at:
                await self._fetch()

    def _known(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _stale(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > _FRESH_FOR_S

    async def _fetch(self) -> None:
        self._next_try_at = self._clock() + _RETRY_AFTER_S
        try:
            async with httpx.AsyncClient(timeout=_FETCH_TIMEOUT_S) as client:
                address = self._provider.jwks_url or await self._discovered(client)
                answer = await client.get(address)
                listed = answer.raise_for_status().json()["keys"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            # The keys that are known stay good: the provider may be away for a while.
            log.warning("oidc.keys_unreadable", detail=f"{type(error).__name__}: {error}")
            return
        self._keys = dict(_usable(listed))
        self._fetched_at = self._clock()
        self._next_try_at = self._fetched_at + _REFETCH_AFTER_S
        log.info("oidc.keys_read", keys=len(self._keys))

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        answer = await client.get(self._provider.issuer.rstrip("/") + _WELL_KNOWN)
        found = answer.raise_for_status().json()
        if found["issuer"] != self._provider.issuer:
            raise ValueError(f"the provider calls itself {found['issuer']!r}")
        return str(found["jwks_uri"])


def _usable(listed: Any) -> list[tuple[str | None, jwt.PyJWK]]:
    """The keys that can verify signatures of the algorithms that we believe."""
    usable = []
    for one in listed:
        if one.get("kty") not in _KEY_TYPES.values() or one.get("use", "sig") != "sig":
            continue
        try:
            usable.append((one.get("kid"), jwt.PyJWK(one)))
        except jwt.PyJWTError as error:
            log.warning("oidc.key_unusable", kid=one.get("kid"), detail=str(error))
    return usable


class Verifier:
    """Tells whom a JWT stands for."""

    def __init__(self, provider: Provider, keys: Keys) -> None:
        self._provider = provider
        self._keys = keys

    async def principal(self, token: str) -> Principal:
        """Raises InvalidJwtError, or Problem (503) while no keys can be had."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in _KEY_TYPES:
                raise InvalidJwtError(f"it is signed by {algorithm}, not by RS256 or ES256")
            key = await self._keys.find(header.get("kid"))
            if key is None or key.key_type != _KEY_TYPES[algorithm]:
                raise InvalidJwtError("it is signed with a key that the provider does not publish")
            claims = jwt.decode(
                token,
                key=key,
                algorithms=[algorithm],
                audience=self._provider.audience,
                issuer=self._provider.issuer,
                leeway=_LEEWAY_S,
                options={"require": list(_CLAIMS)},
            )
        except jwt.PyJWTError as error:
            raise InvalidJwtError(str(error)) from error
        return Principal(
            owner_of(claims["iss"], claims["sub"]),
            expanded(_scopes(claims) or self._provider.scopes),
            "oidc",
            datetime.fromtimestamp(int(claims["exp"]) + _LEEWAY_S, UTC),
        )


def owner_of(issuer: str, subject: str) -> str:
    """The owner that a person is here: always the same, and telling nothing about them."""
    return "u" + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:31]


def _scopes(claims: dict[str, Any]) -> frozenset[Scope]:
    """The scopes of ours that `scope` (RFC 8693, section 4.2) has, if it has any."""
    said = claims.get("scope", "")
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    return frozenset(Scope(word) for word in words if word in tuple(Scope))
