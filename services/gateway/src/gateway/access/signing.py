"""Signatures of what the gateway hands out and gets back: sessions and links."""

from __future__ import annotations

import base64
import hashlib
import hmac


class Signer:
    """HMAC-SHA256 (RFC 2104) under a key of its own for each purpose.

    So a link's signature can never pass for a session's, whatever they say.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, purpose: str, message: bytes) -> str:
        """43 characters of base64url."""
        key = hmac.digest(self._secret, f"myspinbot/{purpose}".encode(), hashlib.sha256)
        return encoded(hmac.digest(key, message, hashlib.sha256))

    def verify(self, purpose: str, message: bytes, signature: str) -> bool:
        """Whether `sign` made this signature, told in constant time."""
        return hmac.compare_digest(self.sign(purpose, message).encode(), signature.encode())


def encoded(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The inverse of `encoded`; ValueError if the text is nothing of the kind."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
