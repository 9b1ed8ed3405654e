"""A process of the simulated world: it starts, may freeze, die and start again, with its own clock.

Whoever dies loses its memory and its connections at once. Its tasks are then ended as asyncio ends
them; what they still try on their way reaches nobody.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol

from eventlog.broker import Broker, BrokerAddress

from tests.simulation.client import Network, SimulatedClient
from tests.simulation.loop import HOLDER, VirtualLoop
from tests.simulation.server import EPOCH, Server

_MOST_ROUNDS = 50


class Connection(Protocol):
    """Something that a process has open, which breaks when it dies."""

    def die(self) -> None: ...


class Life:
    """One run of a process, from its start to its end."""

    def __init__(self, loop: VirtualLoop, server: Server, network: Network, name: str) -> None:
        self._loop = loop
        self._server = server
        self._network = network
        self.name = name
        self.frozen = False
        self.dead = False
        self.held: list[asyncio.Handle] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.connections: list[Connection] = []
        self.brokers: list[Broker] = []
        self.fuse: int | None = None
        """After so many more effects it dies."""
        self.blown: Callable[[str], None] = lambda _: None
        """Called with the effect at which it is to die."""
        self.skew_s = 0.0
        """How far its clock is off."""
        self.context = contextvars.copy_context()
        self.context.run(HOLDER.set, self)

    def now(self) -> datetime:
        """What its clock says."""
        return EPOCH + timedelta(seconds=self._loop.time() + self.skew_s)

    def step(self, effect: str) -> None:
        """It is about to do something that others will notice."""
        if self.fuse is None or self.dead:
            return
        self.fuse -= 1
        if self.fuse < 0:
            self.fuse = None
            self.blown(effect)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to do its work."""
        return self._loop.create_task(work, context=self.context)

    def connect(self, role: str) -> Broker:
        """A connection to the broker."""
        client = SimulatedClient(
            self._loop,
            self._server,
            self._network,
            name=f"{role}-{self.name}",
            context=self.context,
            step=self.step,
        )
        broker = Broker(client, BrokerAddress("simulated", role))  # type: ignore[arg-type]
        self.connections.append(client)
        self.brokers.append(broker)
        return broker

    def cut(self) -> None:
        """Its connections to the broker break."""
        for broker in self.brokers:
            if broker.connected and not broker.client.is_closed:
                broker.client.cut()  # type: ignore[attr-defined]
                self._run(broker.note_disconnection)

    def mend(self) -> None:
        """And are made again."""
        for broker in self.brokers:
            if not broker.connected and not broker.client.is_closed:
                broker.client.mend()  # type: ignore[attr-defined]
                self._run(broker.note_reconnection)

    def _run(self, call: Callable[[], Awaitable[None]]) -> None:
        async def called() -> None:
            await call()

        if not self.dead:
            self.start(called())

    def freeze(self) -> None:
        """It does nothing for a while, and does not know it."""
        self.frozen = True

    def thaw(self) -> None:
        """It goes on, with all that has come meanwhile."""
        self.frozen = False
        held, self.held = self.held, []
        self._loop.resume(held)

    def kill(self) -> None:
        """It is gone: nothing that it still does reaches anybody."""
        self.dead = True
        self.frozen = False
        for connection in self.connections:
            connection.die()
        self.thaw()

    async def end(self) -> None:
        """Wait until what it did has come to an end."""
        for _ in range(_MOST_ROUNDS):
            if not self.tasks:
                return
            for task in tuple(self.tasks):
                task.cancel()
            await asyncio.wait(tuple(self.tasks), timeout=1.0)
        raise AssertionError(f"{self.name} cannot be ended: {list(self.tasks)}")
