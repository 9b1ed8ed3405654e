"""The clients of `make bench-live`, all in this one process: they listen and take the time.

They speak just enough of the protocols to listen, so that they cost little beside the gateway.
Started with the gateway's address, a job and a plan; says a line once all listen, and what
was heard as JSON once its standard input ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

_MARK = b"@"
_SOCKET_EVENT = re.compile(rb'^{"type":"event","jobId":"[^"]*","sequence":(\d+)')
_STREAM_EVENT = re.compile(rb"(?:^|\n)id: (\d+)\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many clients of each kind."""

    sockets: int = 450
    silent: int = 50
    streams: int = 50

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


@dataclass(slots=True)
class Heard:
    """What the clients of one kind heard: how late, and which events."""

    lags_ms: list[float] = field(default_factory=list)
    sequences: list[list[int]] = field(default_factory=list)

    def summary(self) -> dict[str, list[float]]:
        """Lags, and how many events each client missed, or heard twice or out of order."""
        all_told = max((len(set(told)) for told in self.sequences), default=0)
        wrong = [
            all_told - len(set(told)) + (len(told) - len(set(told))) + (told != sorted(told))
            for told in self.sequences
        ]
        return {"lags_ms": self.lags_ms, "missed": [float(number) for number in wrong]}


class Listener(asyncio.Protocol):
    """One client. `opening` is what it sends first, `then` what once that is answered."""

    def __init__(self, heard: Heard, opening: bytes, then: bytes, *, framed: bool) -> None:
        self._heard = heard
        self._opening = opening
        self._then = then
        self._framed = framed
        self._event = _SOCKET_EVENT if framed else _STREAM_EVENT
        self._buffer = bytearray()
        self._told: list[int] = []
        self._open = False
        self.listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heard.sequences.append(self._told)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._opening)

    def data_received(self, data: bytes) -> None:
        """Take what came apart."""
        now_ns = time.time_ns()
        self._buffer += data
        if not self._open:
            if b"\r\n\r\n" not in self._buffer:
                return
            head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if b" 101 " not in head and b" 200 " not in head:
                raise RuntimeError(head.decode())
            self._buffer = bytearray(rest)
            self._open = True
            self._transport.write(self._then)
            self.listening.set_result(None)
        for message in self._frames() if self._framed else self._blocks():
            self._take(message, now_ns)

    def connection_lost(self, exc: Exception | None) -> None:
        """A client that is let go fails the run."""
        del exc
        if not self.listening.done():
            self.listening.set_exception(ConnectionError("the gateway closed the connection"))

    def _take(self, message: bytes, now_ns: int) -> None:
        start = message.find(_MARK)
        if start >= 0:
            written = int(message[start + 1 : message.find(_MARK, start + 1)])
            self._heard.lags_ms.append((now_ns - written) / 1e6)
        if told := self._event.search(message):
            self._told.append(int(told[1]))

    def _frames(self) -> Iterator[bytes]:
        buffer = self._buffer
        while len(buffer) >= 2:
            length, start = buffer[1], 2
            if length == 126:
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + length:
                return
            if buffer[0] & 15 == 9:
                self._transport.write(_masked(bytes(buffer[start : start + length]), 0x8A))
            else:
                yield bytes(buffer[start : start + length])
            del buffer[: start + length]

    def _blocks(self) -> Iterator[bytes]:
        while (end := self._buffer.find(b"\n\n")) >= 0:
            yield bytes(self._buffer[:end])
            del self._buffer[: end + 2]


class Silent(Listener):
    """Subscribes and never reads again."""

    def data_received(self, data: bytes) -> None:
        """The answer to the opening is the last thing that it takes."""
        del data
        if not self._open:
            self._open = True
            self._transport.write(self._then)
            self._transport.pause_reading()
            self.listening.set_result(None)


def _masked(payload: bytes, first: int = 0x81) -> bytes:
    mask = secrets.token_bytes(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    length = bytes([0x80 | len(payload)])
    if len(payload) > 125:
        length = bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    return bytes([first]) + length + mask + body


async def listen(url: str, job: str, plan: Plan) -> dict[str, dict[str, list[float]]]:
    """Everybody connects and listens until standard input ends."""
    place = urlsplit(url)
    host = f"Host: {place.netloc}\r\n"
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    upgrade = f"GET /ws HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n"
    # As browsers do; the gateway declines it.
    upgrade += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    upgrade += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    stream = f"GET /api/jobs/{job}/events HTTP/1.1\r\n{host}Accept: text/event-stream\r\n\r\n"
    subscribe = _masked(json.dumps({"action": "subscribe", "jobId": job, "after": 0}).encode())
    by_socket, by_stream, unheard = Heard(), Heard(), Heard()
    loop = asyncio.get_running_loop()

    async def connect(kind: type[Listener], heard: Heard, *, framed: bool) -> None:
        opening, then = (upgrade, subscribe) if framed else (stream, b"")
        _, client = await loop.create_connection(
            lambda: kind(heard, opening.encode(), then, framed=framed), place.hostname, place.port
        )
        await client.listening

    for _ in range(plan.sockets):
        await connect(Listener, by_socket, framed=True)
    for _ in range(plan.silent):
        await connect(Silent, unheard, framed=True)
    for _ in range(plan.streams):
        await connect(Listener, by_stream, framed=False)
    print(f"{plan.sockets} sockets listen, {plan.silent} do not read; {plan.streams} streams")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    heard = {"WebSocket": by_socket} | ({"SSE": by_stream} if plan.streams else {})
    return {way: each.summary() for way, each in heard.items()}


def main() -> None:
    """As a process of its own."""
    url, job, plan = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(listen(url, job, Plan(**json.loads(plan))))))


if __name__ == "__main__":
    main()
