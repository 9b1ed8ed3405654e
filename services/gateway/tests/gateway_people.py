"""People with tokens, and clients that act for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from gateway_stack import Stack, another_gateway

ADMIN_TOKEN = "the-administrators-own-secret-0123456789"  # noqa: S105 - of a test
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a test


@contextmanager
def token_gateway(stack: Stack, name: str, **settings: str) -> Iterator[str]:
    """A gateway that wants tokens."""
    wanted = {"ACCESS": "token", "ADMIN_TOKEN": ADMIN_TOKEN, "SECRET": SECRET, **settings}
    with another_gateway(stack, name, **wanted) as url:
        yield url


@asynccontextmanager
async def client(
    url: str, token: str | None = None, **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as opened:
        yield opened


async def make_token(url: str, owner: str, *scopes: str, **more: Any) -> dict[str, Any]:
    """A new token of an owner's, made by the administrator."""
    body = {"name": f"of {owner}", "owner": owner, "scopes": scopes or ("read", "write"), **more}
    async with client(url, ADMIN_TOKEN) as admin:
        answer = await admin.post("/api/tokens", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
