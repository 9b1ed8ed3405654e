"""Ed25519 signatures (RFC 8032) with nkeys, the keys by which the broker knows its users."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from eventlog.errors import EventLogError

_KEY = slice(1, 33)
_CHECKED = slice(0, 33)
_CRC = slice(33, 35)


class UnusableKeyError(EventLogError):
    """What was given is no nkey."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key pair of one role, from its seed file."""

    public_key: str
    _pair: Any = field(repr=False)

    @staticmethod
    def of(seed_file: Path) -> Signer:
        """Raises UnusableKeyError if the file holds no seed, OSError if it cannot be read."""
        try:
            pair = nkeys.from_seed(bytearray(seed_file.read_bytes().strip()))
            return Signer(str(pair.public_key.decode()), pair)
        except (nkeys.NkeysError, ValueError, binascii.Error) as error:
            raise UnusableKeyError(f"{seed_file} holds no seed of an nkey") from error

    def sign(self, content: bytes) -> str:
        """The signature in base64."""
        return base64.b64encode(self._pair.sign(content)).decode()


def is_signed(content: bytes, signature: str, public_key: str) -> bool:
    """Whether the owner of a public nkey has signed this."""
    try:
        key = VerifyKey(key_bytes(public_key))
        key.verify(content, base64.b64decode(signature, validate=True))
    except (BadSignatureError, UnusableKeyError, binascii.Error, ValueError):
        return False
    return True


def key_bytes(public_key: str) -> bytes:
    """The 32 bytes of the key in a public nkey; UnusableKeyError if it is none."""
    try:
        decoded = base64.b32decode(public_key)
    except (binascii.Error, ValueError) as error:
        raise UnusableKeyError(f"{public_key[:60]!r} is no public nkey") from error
    checksum = nkeys.crc16(bytearray(decoded[_CHECKED])).to_bytes(2, "little")
    if len(decoded) != _CRC.stop or decoded[_CRC] != checksum:
        raise UnusableKeyError(f"{public_key[:60]!r} is no public nkey: its checksum is wrong")
    return decoded[_KEY]
