"""Clients that say little or nothing, and never end: they are let go, and keep nobody waiting."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from gateway.edge import bodies, connections
from gateway.edge.bodies import BodyLimit
from gateway.edge.connections import HttpProtocol
from gateway_stack import Stack
from starlette.requests import Request
from starlette.responses import Response

from tests.support.ports import free_ports


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """An application that reads its body, behind what bounds bodies and connections."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        await Response(str(len(body)))(scope, receive, send)

    (port,) = free_ports(1)
    server = uvicorn.Server(
        uvicorn.Config(
            BodyLimit(app), port=port, http=HttpProtocol, lifespan="off", log_config=None
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10), httpx.AsyncClient() as client:
            await up(client, port)
        yield port
    finally:
        server.should_exit = True
        await task


async def up(client: httpx.AsyncClient, port: int) -> None:
    while True:
        with contextlib.suppress(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")
            return


async def answer_to(port: int, *said: bytes) -> bytes:
    """What comes back until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for data in said:
            writer.write(data)
            await writer.drain()
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "said", [(), (b"GET / HTTP/1.1\r\nHost: a\r\n",), (b"GET / HTTP/1.1\r\n\r\n", b"GET / HT")]
)
async def test_whoever_does_not_finish_the_head_of_a_request_is_let_go(
    monkeypatch: pytest.MonkeyPatch, said: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(connections, "_HEAD_S", 0.2)
    async with serving() as port:
        assert (await answer_to(port, *said)).count(b"200 OK") == max(len(said) - 1, 0)


async def test_a_head_without_end_is_not_collected() -> None:
    async with serving() as port:
        head = b"GET / HTTP/1.1\r\nHost: a\r\n"
        begun = time.monotonic()
        assert (
            await answer_to(port, head, *[b"X: " + bytes(1000).hex().encode() + b"\r\n"] * 200)
            == b""
        )
        assert time.monotonic() - begun < connections._HEAD_S


@pytest.mark.parametrize("path", ["/api/tokens", "/api/train"])
async def test_a_body_that_does_not_come_is_told_so(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "_GRACE_S", 0.2)
    async with serving() as port:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".encode()
        answer = await answer_to(port, head + b"1")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"/problems/too-slow" in answer


async def test_a_body_that_comes_in_time_may_take_longer_than_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "_GRACE_S", 0.3)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            await asyncio.sleep(0.06)
            yield bytes(4096)

    async with serving() as port, httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/api/train", content=chunks())
        assert (answer.status_code, answer.text) == (200, "40960")


async def test_an_upload_that_is_broken_off_is_no_mistake_of_the_gateway(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    url = urlsplit(stack.url)
    head = (
        "POST /api/train HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    counted = 'requests_total{method="POST",route="/api/train",status="400"}'
    deadline = time.monotonic() + 10
    while counted not in (await api.get("/metrics")).text:
        assert time.monotonic() < deadline, "it is not counted as the client's"
        await asyncio.sleep(0.05)
    assert "ClientDisconnect" not in stack.gateway.log.read_text()
