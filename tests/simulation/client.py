"""The client's side of a connection to the simulated broker: what `eventlog.broker` asks for.

A connection keeps the order of what goes each way, as TCP does. When it is cut, what is on its way
is lost, what is published meanwhile waits in the client, and subscriptions are made again, as
nats-py does it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from eventlog.client import Sink
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, NoRespondersError, OutboundBufferLimitError

from tests.simulation.loop import VirtualLoop
from tests.simulation.server import Server
from tests.simulation.streams import Headers
from tests.simulation.subscription import Callback, Subscription, give_up

_APART_S = 1e-6
"""Between two messages on one connection, which keeps their order."""


class Network(Protocol):
    """What happens to messages on their way."""

    room: int
    """How many messages may wait for a connection in a client."""

    def delay_s(self) -> float:
        """How long the next one takes."""

    def loses(self, subject: str) -> bool:
        """Whether it never arrives, though the connection holds."""

    def repeats(self, subject: str) -> bool:
        """Whether it arrives twice."""


class SimulatedClient:
    """One process's connection. `step` is called before each effect on the broker."""

    def __init__(
        self,
        loop: VirtualLoop,
        server: Server,
        network: Network,
        *,
        name: str,
        context: contextvars.Context,
        step: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._server = server
        self._network = network
        self._name = name
        self._context = context
        self._bare = contextvars.Context()
        self._step = step
        self._inboxes = 0
        self._epoch = 0
        self._up = 0.0
        self._down = 0.0
        self._kept: list[Callable[[], None]] = []
        self._subscriptions: dict[Subscription, None] = {}
        self.is_connected = True
        self.is_closed = False
        self.options: dict[str, float] = {"reconnect_time_wait": 0.25}

    def new_inbox(self) -> str:
        """A subject of one's own."""
        self._inboxes += 1
        return f"_INBOX_{self._name}.{self._inboxes}"

    # What services ask for.

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        """Send a message; ConnectionClosedError if this process has closed its connection."""
        self._open()
        self._step(subject)
        sent = dict(headers or {})
        self._send(lambda: self._server.publish(subject, reply, sent, payload), subject)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        headers: Headers | None = None,
    ) -> Msg:
        """A message and its answer."""
        inbox = Subscription(self, self.new_inbox())
        inbox.reply = reply = self._loop.create_future()
        self._open()
        self._join(inbox)
        timer = self._loop.call_later(timeout, give_up, reply)
        try:
            await self.publish(subject, payload, inbox.pattern, headers)
            msg = await reply
        finally:
            timer.cancel()
            self.leave(inbox)
        if (msg.headers or {}).get("Status") == "503":
            raise NoRespondersError
        return msg

    async def subscribe(
        self, subject: str, queue: str = "", cb: Callback | None = None, max_msgs: int = 0
    ) -> Subscription:
        """Hear of a subject."""
        assert not queue
        self._open()
        subscription = Subscription(self, subject)
        subscription.callback, subscription.most = cb, max_msgs
        self._join(subscription)
        return subscription

    async def pour(self, subject: str, sink: Sink) -> Subscription:
        """Have each message given to `sink` as it comes."""
        self._open()
        subscription = Subscription(self, subject)
        subscription.sink = sink
        self._join(subscription)
        return subscription

    async def stop_pouring(self, subscription: Subscription) -> None:
        """Hear no more."""
        self._open()
        self.leave(subscription)

    async def close(self) -> None:
        """End the connection in order."""
        self.is_closed = True
        for subscription in tuple(self._subscriptions):
            self._leave_server(subscription)

    def _open(self) -> None:
        if self.is_closed:
            raise ConnectionClosedError

    # The connection.

    def _join(self, subscription: Subscription) -> None:
        self._subscriptions[subscription] = None
        if self.is_connected:
            self._send(lambda: self._join_server(subscription))

    def _join_server(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions and subscription.hearing is None:
            subscription.hearing = self._server.subscribe(
                subscription.pattern, lambda *message: self._receive(subscription, *message)
            )

    def leave(self, subscription: Subscription) -> None:
        """Hear no more of a subscription."""
        if self._subscriptions.pop(subscription, self) is None and self.is_connected:
            self._send(lambda: self._leave_server(subscription))

    def _leave_server(self, subscription: Subscription) -> None:
        if subscription.hearing is not None:
            self._server.unsubscribe(subscription.hearing)
            subscription.hearing = None

    def _send(self, arrive: Callable[[], None], subject: str = "") -> None:
        """Have something happen at the server when it has arrived there."""
        if self.is_closed:
            return
        if not self.is_connected:
            if subject and len(self._kept) >= self._network.room:
                raise OutboundBufferLimitError
            self._kept.append(arrive)
            return
        if subject and self._network.loses(subject):
            return
        self._up = max(self._up + _APART_S, self._loop.time() + self._network.delay_s())
        self._loop.call_at(self._up, self._arrive, self._epoch, arrive, context=self._bare)

    def _arrive(self, epoch: int, arrive: Callable[[], None]) -> None:
        if epoch == self._epoch:
            arrive()

    def _receive(
        self, subscription: Subscription, subject: str, reply: str, headers: Headers, data: bytes
    ) -> None:
        """The server has sent something."""
        if self._network.loses(subject):
            return
        for _ in range(2 if subscription.callback and self._network.repeats(subject) else 1):
            self._down = max(self._down + _APART_S, self._loop.time() + self._network.delay_s())
            message = (subject, reply, headers, data)
            self._loop.call_at(
                self._down, self._hand_on, self._epoch, subscription, message, context=self._bare
            )

    def _hand_on(self, epoch: int, subscription: Subscription, message: Any) -> None:
        if epoch == self._epoch and subscription in self._subscriptions and not self.is_closed:
            self._loop.call_soon(subscription.take, *message, context=self._context)

    # What befalls it.

    def die(self) -> None:
        """The process has ended: nothing that it still does reaches anybody."""
        self.is_closed = True
        self._epoch += 1
        for subscription in tuple(self._subscriptions):
            self._leave_server(subscription)

    def cut(self) -> None:
        """The connection breaks, and what is on its way is lost."""
        self._epoch += 1
        self.is_connected = False
        for subscription in tuple(self._subscriptions):
            self._leave_server(subscription)

    def mend(self) -> None:
        """The connection is made anew."""
        self.is_connected = True
        self._up = self._down = self._loop.time()
        for subscription in tuple(self._subscriptions):
            self._send(lambda one=subscription: self._join_server(one))  # type: ignore[misc]
        kept, self._kept = self._kept, []
        for arrive in kept:
            self._send(arrive)
