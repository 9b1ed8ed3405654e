"""Addresses that open one thing for a while to whoever has them.

A link carries its owner, its end and a signature over both and the path. It is good for
reading this one path and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from gateway.access.signing import Signer

_PURPOSE = "link"


class Links:
    """Makes signed links and reads them."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def sign(self, path: str, owner: str, expires_at: datetime) -> str:
        """The path with what lets anybody GET it as `owner` until then (whole seconds)."""
        expires = int(expires_at.timestamp())
        signature = self._signer.sign(_PURPOSE, _message(path, owner, expires))
        return f"{quote(path)}?expires={expires}&signature={owner}.{signature}"

    def verify(self, path: str, query: Mapping[str, str], now: datetime) -> str | None:
        """On whose behalf the path may be read, or None if the link is not good for it (now)."""
        owner, dot, signature = query.get("signature", "").rpartition(".")
        expires = query.get("expires", "")
        # Longer numbers are no times; `isdecimal` alone lets other scripts' digits through.
        if not dot or not (expires.isascii() and expires.isdecimal() and len(expires) < 12):
            return None
        if not self._signer.verify(_PURPOSE, _message(path, owner, int(expires)), signature):
            return None
        return owner if now < datetime.fromtimestamp(int(expires), UTC) else None


def _message(path: str, owner: str, expires: int) -> bytes:
    return f"{owner}\n{expires}\n{path}".encode()
