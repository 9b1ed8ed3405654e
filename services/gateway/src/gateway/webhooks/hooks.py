"""A webhook: whom to tell of what. What is kept of it, and the form of its secret. No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from typing import Annotated

import httpx
from contracts.base import Contract, Id, Timestamp
from pydantic import AfterValidator, Field

from contracts import subjects

ALL_HOOKS = subjects.config("webhooks", "*", "*")
SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, and none itself
SECRET_BYTES = 32

_SHORTEST_SECRET, _LONGEST_SECRET = 24, 64
_LONGEST_URL = 2000
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class HookEvent(StrEnum):
    """What a webhook may be told of."""

    JOB_REQUESTED = "job.requested"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_DELETED = "job.deleted"
    STAGE_COMPLETED = "stage.completed"
    STAGE_FAILED = "stage.failed"


TEST = "webhook.test"
"""What a test delivery is called. Nobody needs to subscribe to it."""


def _target(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"is no URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("must begin with https:// or http:// and name a host")
    if not _HOST.fullmatch(parsed.raw_host.decode()):
        raise ValueError("names a host that cannot be")
    if parsed.port is not None and not 0 < parsed.port < 1 << 16:
        raise ValueError("has a port that is not between 1 and 65535")
    if parsed.userinfo:
        raise ValueError("must not hold a name and password: verify the signature instead")
    if parsed.fragment:
        raise ValueError("must not have a fragment (#…): it is never sent")
    return url


def _secret(text: str) -> str:
    try:
        size = len(secret_bytes(text))
    except ValueError as error:
        raise ValueError(
            f"must be {SECRET_PREFIX} and {_SHORTEST_SECRET} to {_LONGEST_SECRET} bytes in base64"
        ) from error
    if not _SHORTEST_SECRET <= size <= _LONGEST_SECRET:
        raise ValueError(f"has {size} bytes, not {_SHORTEST_SECRET} to {_LONGEST_SECRET}")
    return text


TargetUrl = Annotated[str, Field(max_length=_LONGEST_URL), AfterValidator(_target)]
Secret = Annotated[str, Field(max_length=200), AfterValidator(_secret)]


class Webhook(Contract):
    """What is kept of a webhook."""

    webhook_id: Id
    owner: Id
    url: TargetUrl
    events: tuple[HookEvent, ...]
    active: bool = True
    created_at: Timestamp
    secret: Secret

    @property
    def key(self) -> str:
        """Where it is kept."""
        return subjects.config("webhooks", self.owner, self.webhook_id)


def secret_bytes(text: str) -> bytes:
    """The key that a secret stands for; ValueError if it has not the form of one."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret begins with {SECRET_PREFIX}")
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret is base64") from error


def secret_of(key: bytes) -> str:
    """A key as a secret to be shown."""
    return SECRET_PREFIX + base64.b64encode(key).decode()
