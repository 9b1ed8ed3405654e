"""Checkpoints of the whole log: signed statements of what it was when it had a certain length.

The chain of a job ties its events together, but whoever may rewrite the stream can write new
chains as well, or leave out a whole job. A checkpoint holds a hash over all events in the order
of the stream, signed by the notary's key; who kept one, or the key, finds out (docs/audit.md).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.base import Contract, Id, Sha256, Timestamp
from contracts.chain import BEGIN
from contracts.envelope import Stored
from contracts.upcasting import UnknownEventError

PublicKey = Annotated[str, StringConstraints(pattern=r"^U[A-Z2-7]{55}$")]
"""A public nkey of a user: base32 of prefix, Ed25519 key and CRC-16."""
Signature = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]
"""64 bytes of an Ed25519 signature (RFC 8032) in base64."""


class LogCheckpoint(Contract):
    """What the log was, up to and including `last_sequence`, and who says so."""

    version: Literal[1] = 1
    id: Id
    stream_created: Timestamp = Field(description="which stream it is about: a new one is another")
    last_sequence: Annotated[int, Field(ge=1)]
    log_hash: Sha256 = Field(description="over sequence and chain of all events, in order")
    time: Timestamp
    previous: Id | None = Field(default=None, description="the checkpoint before it")
    key_id: PublicKey
    signature: Signature | None = Field(default=None, description="of all other fields")

    def signed_content(self) -> bytes:
        """What the signature is over: all else as JSON with sorted keys and no white space."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"signature"})
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def digest(stored: Stored) -> str:
    """What stands for an event in the hash of the log, in hexadecimal.

    Its chain value, which `verify` checks against its content; for an event of before there were
    chains, the value that it would have as the first of its job.
    """
    if stored.chain is not None:
        return stored.chain
    try:
        return stored.linked(BEGIN)
    except UnknownEventError:
        headers = json.dumps(dict(stored.headers), sort_keys=True).encode()
        return hashlib.sha256(headers + b"\n" + stored.body).hexdigest()


@dataclass(slots=True)
class LogHash:
    """The hash of the log up to a sequence: SHA-256 over the one before, sequence and digest."""

    value: str = ""
    sequence: int = 0

    def add(self, stored: Stored) -> None:
        """Take in the next event of the stream."""
        entry = f"{self.value}\n{stored.sequence}\n{digest(stored)}"
        self.value = hashlib.sha256(entry.encode()).hexdigest()
        self.sequence = stored.sequence
