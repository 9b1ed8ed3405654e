"""Sessions of the page: a signed cookie instead of a token that scripts could read.

The cookie has no state on the server. It names the credential that it was made from and is
good for no longer: a session of a token that is revoked is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

from contracts.base import Contract, Id, Timestamp
from pydantic import ValidationError

from gateway.access.principal import Principal, Scope
from gateway.access.signing import Signer, decoded, encoded

COOKIE = "myspinbot_session"
LASTS = timedelta(days=7)

_PURPOSE = "session"


class Session(Contract):
    """What the cookie says."""

    owner: Id
    scopes: tuple[Scope, ...]
    credential: str
    expires_at: Timestamp

    @staticmethod
    def of(principal: Principal, now: datetime) -> Session:
        """A new session of somebody whose credential was checked."""
        end = min(now + LASTS, principal.expires_at or now + LASTS)
        return Session(
            owner=principal.owner,
            scopes=tuple(sorted(principal.scopes)),
            credential=principal.credential,
            expires_at=end.replace(microsecond=0),
        )

    def principal(self) -> Principal:
        """Whom the session stands for, if its credential is still good."""
        return Principal(
            self.owner, frozenset(self.scopes), self.credential, self.expires_at, by_cookie=True
        )


class Sessions:
    """Makes cookies and reads them."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def seal(self, session: Session) -> str:
        """The cookie's value."""
        body = session.to_json()
        return f"{encoded(body)}.{self._signer.sign(_PURPOSE, body)}"

    def unseal(self, value: str, now: datetime) -> Session | None:
        """What a cookie's value says, or None if it is not ours or has ended."""
        body, _, signature = value.partition(".")
        try:
            said = decoded(body)
            if not self._signer.verify(_PURPOSE, said, signature):
                return None
            session = Session.model_validate_json(said)
        except (ValueError, ValidationError):
            return None
        return session if now < session.expires_at else None


def presented(header: str) -> str | None:
    """The value of our cookie in a `Cookie` header."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def set_cookie(value: str, lasts: timedelta, *, secure: bool) -> str:
    """The `Set-Cookie` header (RFC 6265bis): no script reads it and no other site sends it."""
    rest = "; Secure" if secure else ""
    return (
        f"{COOKIE}={value}; Path=/; Max-Age={int(lasts.total_seconds())}; HttpOnly; "
        f"SameSite=Strict{rest}"
    )
