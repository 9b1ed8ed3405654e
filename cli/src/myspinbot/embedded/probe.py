"""Asks a server on this machine whether it is ready, without the weight of an HTTP library."""

from __future__ import annotations

import asyncio
import contextlib


async def answers_ok(port: int, path: str, host: str = "127.0.0.1", timeout_s: float = 2.0) -> bool:
    """Whether `GET path` is answered with status 200."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
                writer.write(request.encode())
                status = await reader.readuntil(b"\r\n")
                return status.split()[1:2] == [b"200"]
            finally:
                writer.close()
    return False
