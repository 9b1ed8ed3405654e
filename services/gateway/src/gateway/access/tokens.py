"""API tokens: what they look like and what is kept of them. No I/O.

A token is `msb_<id>_<secret>`: the id finds its record, and the 256 random bits of the
secret are known to nobody but who holds it, as only their SHA-256 is kept. (A slow hash is
for what people choose; nobody guesses 256 bits.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from contracts.base import DISGUISES, Contract, Id, Sha256, Timestamp
from pydantic import Field, StringConstraints

from contracts import subjects
from gateway.access.principal import Principal, Scope, expanded

PREFIX = "msb_"
SECRET_BYTES = 32
ALL_TOKENS = subjects.config("tokens", "*", "*")

_FORM = re.compile(r"msb_([a-z0-9]{1,64})_([0-9a-f]{64})")
_NO_DIGEST = "0" * 64

TokenName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=80,
        pattern=rf"^[^\t\n\r{DISGUISES}]*$",
    ),
]


class TokenRecord(Contract):
    """What is kept of a token."""

    token_id: Id
    name: str
    owner: Id
    scopes: tuple[Scope, ...] = Field(min_length=1)
    created_at: Timestamp
    expires_at: Timestamp | None = None
    secret_sha256: Sha256

    @property
    def key(self) -> str:
        """Where it is kept."""
        return subjects.config("tokens", self.owner, self.token_id)

    def principal(self) -> Principal:
        """Whom the token stands for."""
        return Principal(
            self.owner, expanded(self.scopes), credential(self.token_id), self.expires_at
        )

    def live(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that somebody shows."""

    token_id: str
    secret: str

    @staticmethod
    def parse(text: str) -> Presented | None:
        """None if the text has not the form of a token."""
        match = _FORM.fullmatch(text)
        return Presented(match[1], match[2]) if match else None

    def proves(self, record: TokenRecord | None, now: datetime) -> bool:
        """Whether it is the record's token and still good, told in constant time."""
        known = record.secret_sha256 if record else _NO_DIGEST
        same = hmac.compare_digest(digest(self.secret), known)
        return same and record is not None and record.live(now)

    def __str__(self) -> str:
        return f"{PREFIX}{self.token_id}_{self.secret}"


def credential(token_id: str) -> str:
    """How a principal names the token that it came with."""
    return f"token:{token_id}"


def digest(secret: str) -> str:
    """What is kept of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
