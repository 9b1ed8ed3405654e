"""A small TCP proxy that does to connections what networks do: late, slow, cut, refused, silent.

It runs in a thread of its own, so that a test may wait for processes meanwhile. What is set counts
from the next bytes or the next connection on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to bytes on their way, in both directions, and to who connects.

    `cut_after` ends a connection once that many bytes have come from the client through it;
    `silent` takes connections and bytes and hands nothing on; `replies` is what a client gets at
    once instead of what the server would say.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: int | None = None
    refuses: bool = False
    silent: bool = False
    replies: bytes | None = None
    turns_bits: bool = False
    """Whether objects are other than they were; what a store says itself, in XML, is left alone."""


CALM = Weather()


@dataclass(slots=True)
class Proxy:
    """A way to a port on the loopback. Make it with `proxy`."""

    port: int
    target: int
    weather: Weather = CALM
    passed: int = 0
    """Connections that were made through it."""
    cuts: int = 0
    """Connections that it has ended early."""
    _links: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def becomes(self, **changes: object) -> None:
        """Change the weather from calm to this."""
        self.weather = replace(CALM, **changes)  # type: ignore[arg-type]

    def cut_all(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(self._cut_all)

    def _cut_all(self) -> None:
        for link in self._links:
            self.cuts += 1
            link.cancel()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._links.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refuses:
            self.cuts += 1
            return
        if self.weather.replies is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.weather.replies)
            await writer.drain()
            self.cuts += 1
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.passed += 1
        ways = [
            asyncio.ensure_future(self._pour(reader, back, self._may_cut())),
            asyncio.ensure_future(self._pour(there, writer, _turned(self))),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.transport.abort()

    def _may_cut(self) -> Callable[[bytes], bytes]:
        sent = 0

        def watched(data: bytes) -> bytes:
            nonlocal sent
            sent += len(data)
            if self.weather.cut_after is not None and sent > self.weather.cut_after:
                self.cuts += 1
                raise ConnectionAbortedError
            return data

        return watched

    async def _pour(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        through: Callable[[bytes], bytes],
    ) -> None:
        while data := await source.read(_CHUNK):
            while self.weather.silent:  # noqa: ASYNC110 - another thread decides
                await asyncio.sleep(0.02)
            if self.weather.delay_s:
                await asyncio.sleep(self.weather.delay_s)
            if self.weather.bytes_per_s:
                await asyncio.sleep(len(data) / self.weather.bytes_per_s)
            sink.write(through(data))
            await sink.drain()


def _turned(proxy: Proxy) -> Callable[[bytes], bytes]:
    of_the_store = False

    def turned(data: bytes) -> bytes:
        nonlocal of_the_store
        head, end, body = data.partition(b"\r\n\r\n")
        if data.startswith(b"HTTP/"):
            of_the_store = b"application/xml" in head
        else:
            head, end, body = b"", b"", data
        if not proxy.weather.turns_bits or of_the_store:
            return data
        return head + end + bytes(byte ^ 1 for byte in body)

    return turned


@contextlib.contextmanager
def proxy(port: int, target: int) -> Iterator[Proxy]:
    """A proxy that listens on a free port of the loopback, for as long as the context lasts."""
    between = Proxy(port, target)
    listening, ending = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(between.accept, "127.0.0.1", port)
        listening.set()
        async with server:
            await ending.wait()
            between._cut_all()
            await asyncio.gather(*between._links, return_exceptions=True)

    def run() -> None:
        asyncio.set_event_loop(between._loop)
        between._loop.run_until_complete(serve())
        between._loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert listening.wait(10)
        yield between
    finally:
        between._loop.call_soon_threadsafe(ending.set)
        thread.join(10)
