"""Signatures by which a receiver knows that a delivery comes from here (Standard Webhooks 1).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from gateway.webhooks.hooks import secret_bytes


def signed_headers(secret: str, delivery: str, timestamp: int, body: bytes) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature`."""
    content = b"%s.%d.%s" % (delivery.encode(), timestamp, body)
    digest = hmac.digest(secret_bytes(secret), content, hashlib.sha256)
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
