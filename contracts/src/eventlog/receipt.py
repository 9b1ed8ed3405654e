"""What a work queue waits for: each delivered message must be settled, or it comes again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from eventlog.broker import Broker

ACK_WAIT_S = 30.0
"""How long a message may be neither settled nor heard of before it is delivered again."""
BEATS = 3
"""Whoever works on one says so this often in that time."""
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message in a worker's hands. It must end in `done`, `later` or `hopeless`.

    All raise UnavailableError when the broker is away; the message then comes again by itself.
    """

    broker: Broker
    reply: str
    """The subject that the broker listens to for how the message went."""

    @property
    def number(self) -> int:
        """How often this message has been delivered, from 1."""
        return int(self.reply.split(".")[-5])

    @property
    def published_ns(self) -> int:
        """When the broker took the message in, in nanoseconds since 1970."""
        return int(self.reply.split(".")[-2])

    async def working(self) -> None:
        """Say that the message is still being worked on."""
        await self.broker.send(self.reply, b"+WPI")

    async def done(self) -> None:
        """Take the message off the queue; UnavailableError if the broker did not confirm it."""
        await self.broker.request(self.reply, b"+ACK")

    async def later(self, delay_s: float) -> None:
        """Give the message back, to be delivered again after a delay."""
        delay = json.dumps({"delay": int(delay_s * _SECOND)})
        await self.broker.send(self.reply, f"-NAK {delay}".encode())

    async def hopeless(self, reason: str) -> None:
        """Take the message off the queue for good; the broker keeps a note of it."""
        await self.broker.send(self.reply, f"+TERM {reason}".encode())
