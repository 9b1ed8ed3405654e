"""A client of server-sent events for tests, which can be cut off after any byte."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is dispatched; `id` is the last id that was heard by then."""

    id: str
    name: str
    data: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.data))


@dataclass(slots=True)
class Parser:
    """Section 9.2.6 of the HTML standard: an event counts once its blank line has come."""

    last_id: str = ""
    _text: str = ""
    _seen: dict[str, str] = field(default_factory=dict)

    def feed(self, text: str) -> list[Event]:
        self._text += text
        events = []
        while "\n" in self._text:
            line, _, self._text = self._text.partition("\n")
            if line:
                name, _, value = line.partition(":")
                self._seen[name] = value.removeprefix(" ")
                continue
            self.last_id = self._seen.get("id", self.last_id)
            if "data" in self._seen:
                name = self._seen.get("event", "message")
                events.append(Event(self.last_id, name, self._seen["data"]))
            self._seen = {}
        return events


@dataclass(slots=True)
class Listening:
    """One answer to a request for events."""

    status: int
    headers: str
    reader: asyncio.StreamReader
    parser: Parser
    _pending: deque[Event] = field(default_factory=deque)

    async def events(self, most_bytes: int = 1 << 30) -> AsyncIterator[Event]:
        """Until the gateway closes, or so many bytes were read."""
        heard = b""
        while most_bytes > 0:
            while self._pending:
                yield self._pending.popleft()
            async with asyncio.timeout(30):
                data = await self.reader.read(min(most_bytes, 65536))
            if not data:
                break
            most_bytes -= len(data)
            heard += data
            # A cut may go through a character.
            text = heard.decode(errors="ignore")
            heard = heard[len(text.encode()) :]
            self._pending += self.parser.feed(text)
        while self._pending:
            yield self._pending.popleft()

    async def next(self, name: str) -> Event:
        """The next event of a name."""
        async with asyncio.timeout(30):
            async for event in self.events():
                if event.name == name:
                    return event
        raise AssertionError(f"the stream ended without {name}")


@asynccontextmanager
async def listening(
    url: str, path: str, sock: socket.socket | None = None, **headers: str
) -> AsyncIterator[Listening]:
    """HTTP/1.0, whose bodies have no framing of their own."""
    place = urlsplit(url)
    if sock is None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
    else:
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    sent = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {place.netloc}\r\n{sent}\r\n".encode())
    try:
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        yield Listening(int(head.split()[1]), head.lower(), reader, Parser())
    finally:
        writer.transport.abort()
