"""The key by which the embedded stack signs what it makes, and the anchor by which it is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from myspinbot.embedded.home import Home, write_private

_END = "-----END CERTIFICATE-----\n"


def identity_file(home: Home) -> Path:
    """Where key, certificate and anchor are, one after the other as PEM."""
    return home.keys / "credentials.pem"


def ensure_identity(home: Home) -> Path:
    """The file of the identity, made when there is none."""
    path = identity_file(home)
    if not path.exists():
        from myspinbot.provision.identity import make_identity

        write_private(path, make_identity(datetime.now(UTC)).pem().decode())
    return path


def anchor(home: Home) -> str | None:
    """The certificate by which others know this installation; None before its first start."""
    try:
        *_, last = identity_file(home).read_text().split("-----BEGIN ")
    except OSError:
        return None
    return f"-----BEGIN {last}" if last.endswith(_END) else None
