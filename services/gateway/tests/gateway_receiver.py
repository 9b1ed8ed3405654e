"""A program that is told of things by webhooks: a real HTTP server that answers as it is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Answer:
    """What to answer; `holds` keeps the sender waiting instead, for as long as it likes."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    holds: bool = False


@dataclass
class Receiver:
    """What came, and what the next requests are answered; without it, all is well."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    usual: Answer = field(default_factory=Answer)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told"

    def told(self, event: str) -> list[Received]:
        return [one for one in self.received if one.json["type"] == event]

    async def until(self, count: int, event: str | None = None, timeout_s: float = 20) -> None:
        """Return once so many requests, or requests of an event, have come."""
        async with asyncio.timeout(timeout_s):
            while True:
                if len(self.told(event) if event else self.received) >= count:
                    return
                await asyncio.sleep(0.02)


def verify(secret: str, request: Received) -> None:
    """What a receiver is to do by the Standard Webhooks specification, written from its text."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = ".".join((request.headers["webhook-id"], request.headers["webhook-timestamp"], ""))
    expected = hmac.new(key, signed.encode() + request.body, hashlib.sha256).digest()
    versions = [part.split(",", 1) for part in request.headers["webhook-signature"].split(" ")]
    assert any(
        version == "v1" and hmac.compare_digest(base64.b64decode(given), expected)
        for version, given in versions
    )


@contextlib.contextmanager
def receiver(usual: Answer | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a free port of the loopback."""
    here = Receiver(usual=usual or Answer())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = here.answers.popleft() if here.answers else here.usual
            here.received.append(Received(self.path, headers, body))
            if answer.holds:
                here.released.wait(60)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    here.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
