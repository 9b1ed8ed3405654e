"""On whose behalf a request is made, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LOCAL_OWNER = "local"
"""Who owns everything on one's own machine, and the administrator of an installation."""


class Mode(StrEnum):
    """How the gateway knows whom it serves."""

    LOCAL = "local"
    """Whoever reaches the loopback of this machine is its one owner."""
    TOKEN = "token"  # noqa: S105 - a word, and no secret
    """API tokens that the gateway makes."""
    OIDC = "oidc"
    """JWTs of an identity provider, and API tokens for programs."""


class Scope(StrEnum):
    """What a credential is good for. Each scope includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def included(self) -> frozenset[Scope]:
        """The scope itself and all that it includes."""
        ordered = tuple(Scope)
        return frozenset(ordered[: ordered.index(self) + 1])


def expanded(scopes: frozenset[Scope] | tuple[Scope, ...]) -> frozenset[Scope]:
    """The scopes with all that they include."""
    return frozenset(part for scope in scopes for part in scope.included)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credential was checked. `scopes` has what it includes in it."""

    owner: str
    scopes: frozenset[Scope]
    credential: str
    """Names the credential, and is none: `local`, `admin`, `token:<id>`, `oidc` or `link`."""
    expires_at: datetime | None = None
    by_cookie: bool = False

    def allows(self, scope: Scope) -> bool:
        """Whether the principal may do what needs this scope."""
        return scope in self.scopes
