"""Every route of the published document: closed to strangers, and open where it says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gateway_people import client, token_gateway
from gateway_stack import Stack

_DOCUMENT = json.loads((Path(__file__).parents[3] / "docs/openapi.json").read_text())
_ROUTES = [
    (method.upper(), re.sub(r"{\w+}", "1", path))
    for path, methods in _DOCUMENT["paths"].items()
    for method in methods
]
_OPEN = {"/health", "/ready", "/api/session", "/problems"}


@pytest.fixture(scope="module")
def closed(stack: Stack) -> Iterator[str]:
    with token_gateway(stack, "routes", REQUESTS_PER_MINUTE="100000") as url:
        yield url


async def test_a_stranger_is_refused_on_every_route(closed: str) -> None:
    tried = 0
    async with client(closed) as anybody:
        for method, path in _ROUTES:
            if path in _OPEN or path.startswith("/problems/"):
                continue
            answer = await anybody.request(method, path)
            where = f"{method} {path}: {answer.status_code} {answer.text}"
            assert answer.status_code == 401, where
            assert answer.headers["content-type"] == "application/problem+json", where
            assert answer.json()["type"] == "/problems/unauthenticated", where
            assert answer.headers["www-authenticate"].startswith("Bearer"), where
            tried += 1
    assert tried == len(_ROUTES) - 7


async def test_what_is_open_is_open_to_anybody(closed: str) -> None:
    async with client(closed) as anybody:
        for path in sorted(_OPEN):
            assert (await anybody.get(path)).status_code == 200, path
        kinds = (await anybody.get("/problems")).json()
        for kind in kinds:
            assert (await anybody.get(kind["type"])).json() == kind
        assert (await anybody.get("/problems/none-of-them")).status_code == 404


async def test_an_address_that_is_none_and_a_method_that_is_none_are_problems(
    api: httpx.AsyncClient,
) -> None:
    for method, path, status, kind in (
        ("GET", "/api/nothing", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("PATCH", "/api/jobs", 405, "method-not-allowed"),
        ("DELETE", "/health", 405, "method-not-allowed"),
    ):
        answer = await api.request(method, path)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
