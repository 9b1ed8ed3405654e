"""Requests that may be sent again without doing anything twice (`Idempotency-Key`).

A key belongs to its owner and, for a day, to the request that it first came with. What a
request makes has an id made from the key, so a repetition finds what the first one made.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from eventlog.keyvalue import KeyValue, RevisionError
from fastapi import Header

from contracts import subjects
from gateway.problems import Problem, ProblemKind

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="makes the request safe to send again: the same key does it once",
        examples=["5f9c1c2e-7d0a-4b7e-9a51-0c6a3b1de9f2"],
    ),
]

_KEPT_S = 86_400


def keyed_id(owner: str, key: str, prefix: str = "k") -> str:
    """The id of what an owner makes under an idempotency key: the prefix and 31 hex digits."""
    return prefix + _digest(owner, key)[:31]


async def claim(config: KeyValue, owner: str, key: str | None, *request: str) -> None:
    """Bind a key to a request, told by its parts; Problem if it is bound to another one.

    A repetition of the same request is let through: it finds what the first one made.
    """
    if key is None:
        return
    subject = subjects.config("keys", owner, _digest(key))
    fingerprint = _digest(*request).encode()
    try:
        await config.create(subject, fingerprint, _KEPT_S)
    except RevisionError:
        entry = await config.get(subject)
        if entry is not None and entry.data != fingerprint:
            raise reused() from None


def reused() -> Problem:
    """The problem of a key that came with another request before."""
    return Problem(
        ProblemKind.KEY_REUSED,
        "This Idempotency-Key was sent before, with another request.",
        "Use a new key for a new request.",
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
