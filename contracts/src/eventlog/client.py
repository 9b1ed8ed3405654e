"""The library's client, with a faster way in for very many messages.

An event has a dozen headers, and the library checks each character of each name: that was half the
time of reading the log. Here a block of headers is decoded at once, and who asks for a window of
messages is given them without the queue and the task that a subscription else has.
"""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

_PLAIN = b"NATS/1.0\r\n"
"""The first line of headers without a status."""

_BLANK = " \t\n\r\v\f"


class QuickClient(Client):
    """`nats.aio.client.Client`, but quicker at what the log is full of.

    The methods that it replaces are not public ones of the library. Should they get other names
    there, these are not called any more and reading is slower, as a test will say (test_reader.py).
    """

    def __init__(self) -> None:
        super().__init__()
        self._sinks: dict[int, Callable[[Msg], None]] = {}

    async def pour(self, subject: str, sink: Callable[[Msg], None]) -> Subscription:
        """Subscribe: each message is given to `sink` as soon as it is read.

        There is no limit to what may arrive. It is for those who ask for each message.
        """

        async def after_the_queue(msg: Msg) -> None:
            sink(msg)

        subscription = await self.subscribe(subject, cb=after_the_queue)
        self._sinks[subscription._id] = sink  # noqa: SLF001
        return subscription

    async def stop_pouring(self, subscription: Subscription) -> None:
        """Unsubscribe."""
        self._sinks.pop(subscription._id, None)  # noqa: SLF001
        await subscription.unsubscribe()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        sink = self._sinks.get(sid)
        if sink is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        read: dict[str, str] | None
        if headers and headers.startswith(_PLAIN):
            read = self._parse_header_lines(headers[len(_PLAIN) :])
        else:
            read = await self._process_headers(headers)
        sink(self._build_message(sid, subject, reply, data, read))

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """The headers in a block of `Name: Value` lines; a line that is none is left out."""
        headers = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.strip(_BLANK)
            if colon and name.isascii() and " " not in name:
                headers[name] = value.strip(_BLANK)
        return headers
