"""Boards: streams that keep only the latest message of each subject, in memory.

Progress, live runners and stop commands are on boards. They are not history: whoever looks
sees how things stand now, and then every change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from nats.aio.msg import Msg

from eventlog.broker import API, Broker
from eventlog.errors import BrokerError
from eventlog.log import utc_now


@dataclass(frozen=True, slots=True)
class Note:
    """One message on a board."""

    subject: str
    data: bytes
    posted_at: datetime | None = None


class Board:
    """One stream of latest values."""

    def __init__(
        self,
        broker: Broker,
        stream: str,
        subject_filter: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._broker = broker
        self._stream = stream
        self._filter = subject_filter
        self._now = now

    async def post(self, subject: str, data: bytes) -> None:
        """Put a message on the board in place of the earlier one of its subject."""
        reply = await self._broker.publish(subject, data)
        if error := reply.get("error"):
            raise BrokerError(subject, int(error.get("err_code", 0)), error.get("description", ""))

    async def all(self, subject_filter: str | None = None) -> AsyncIterator[Note]:
        """Every message that is on the board now, or those matching a narrower filter."""
        query = {"multi_last": [subject_filter or self._filter], "batch": 1024}
        async for msg in self._broker.many(f"{API}DIRECT.GET.{self._stream}", query):
            headers = msg.headers or {}
            stamp = headers.get("Nats-Time-Stamp", "")
            posted = datetime.fromisoformat(stamp) if stamp else None
            yield Note(headers.get("Nats-Subject", ""), msg.data, posted)

    async def watch(
        self, callback: Callable[[Note], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call back for every message posted from now on; returns what ends it."""

        async def received(msg: Msg) -> None:
            await callback(Note(msg.subject, msg.data, self._now()))

        subscription = await self._broker.client.subscribe(self._filter, cb=received)
        return subscription.unsubscribe
