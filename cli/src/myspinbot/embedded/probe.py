"""Asks a server on this machine whether it is ready, without the weight of an HTTP library."""

from __future__ import annotations

import asyncio
import contextlib
import json

_MOST_BYTES = 1 << 16


async def answers_ok(port: int, path: str, host: str = "127.0.0.1", timeout_s: float = 2.0) -> bool:
    """Whether `GET path` is answered with status 200."""
    status = await _get(port, path, host, timeout_s, whole=False)
    return status.split()[1:2] == [b"200"]


async def waits_for(port: int, host: str = "127.0.0.1", timeout_s: float = 2.0) -> list[str]:
    """What the service at a port says on `/ready` that it waits for; nothing if it says nothing."""
    answer = await _get(port, "/ready", host, timeout_s, whole=True)
    _, _, body = answer.partition(b"\r\n\r\n")
    try:
        return [str(what) for what in json.loads(body)["waitingFor"]]
    except (ValueError, KeyError, TypeError):
        return []


async def _get(port: int, path: str, host: str, timeout_s: float, *, whole: bool) -> bytes:
    """The answer, or its first line; nothing if there is none in time."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
                writer.write(request.encode())
                answer = await reader.readuntil(b"\r\n")
                while whole and len(answer) < _MOST_BYTES:
                    more = await reader.read(_MOST_BYTES)
                    if not more:
                        break
                    answer += more
                return answer
            finally:
                writer.close()
    return b""
