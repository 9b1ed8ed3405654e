"""What a simulated client has subscribed to, and the messages that have come for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from eventlog.client import Frame, Sink
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from tests.simulation.server import Subscription as Hearing
from tests.simulation.streams import Headers

Callback = Callable[[Msg], Awaitable[None]]


class Subscriber(Protocol):
    """Whose subscription it is."""

    def leave(self, subscription: Subscription) -> None: ...


class Subscription:
    """What a client has subscribed to. Of three ways to be told, one is used."""

    def __init__(self, client: Subscriber, pattern: str) -> None:
        self._client = client
        self.pattern = pattern
        self.hearing: Hearing | None = None
        self.callback: Callback | None = None
        self.sink: Sink | None = None
        self.reply: asyncio.Future[Msg] | None = None
        self.most = 0
        self._arrived: deque[Msg] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._calling: asyncio.Task[None] | None = None

    def take(self, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        """A message has come. Runs as the client's own work."""
        if self.sink is not None:
            self.sink(_frame(subject, reply, headers, data))
            return
        msg = Msg(self._client, subject, reply, data, headers or None)  # type: ignore[arg-type]
        if self.reply is not None:
            if not self.reply.done():
                self.reply.set_result(msg)
            return
        self._arrived.append(msg)
        if self.callback is not None:
            if self._calling is None or self._calling.done():
                self._calling = asyncio.get_running_loop().create_task(self._call())
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _call(self) -> None:
        assert self.callback is not None
        while self._arrived:
            await self.callback(self._arrived.popleft())

    async def next_msg(self, timeout: float | None = 1.0) -> Msg:
        """The next message; nats' TimeoutError if there is none in time."""
        if not self._arrived:
            loop = asyncio.get_running_loop()
            self._waiting = waiting = loop.create_future()
            timer = None if timeout is None else loop.call_later(timeout, give_up, waiting)
            try:
                await waiting
            finally:
                if timer is not None:
                    timer.cancel()
        msg = self._arrived.popleft()
        self.most -= 1
        if self.most == 0:
            self._client.leave(self)
        return msg

    async def unsubscribe(self) -> None:
        """Hear no more."""
        self._client.leave(self)


def give_up(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(NatsTimeoutError())


def _frame(subject: str, reply: str, headers: Headers, data: bytes) -> Frame:
    first = f"NATS/1.0 {headers['Status']}" if "Status" in headers else "NATS/1.0"
    if "Description" in headers:
        first += f" {headers['Description']}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw = f"{first}\r\n{lines}\r\n".encode()
    return Frame(subject.encode(), reply.encode(), raw, data)
