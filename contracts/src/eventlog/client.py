"""The library's client, with a faster way in for very many messages.

The log is read in millions of small messages with a dozen headers each. The library takes each of
them apart in four steps, checks each character of each header's name, and hands it on through a
queue and a task. Here who asks for a window of messages is given their frames as they stand in what
has arrived, and headers are decoded at once: a third of the time (docs/adr/0016-rebuild-speed.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

_PLAIN = b"NATS/1.0\r\n"
"""The first line of headers without a status."""

_BLANK = " \t\n\r\v\f"

_WITH_REPLY = re.compile(rb"HMSG (\S+) (\d+) (\S+) (\d+) (\d+)\r\n")
"""Subject, subscription, reply, size of the headers, size of headers and body together.

https://docs.nats.io/reference/reference-protocols/nats-protocol#hmsg
"""


class Frame(NamedTuple):
    """A message as it came: `headers` is the whole block, from its first line.

    Of what a consumer sends, only the broker's own word has no reply.
    """

    subject: bytes
    reply: bytes
    headers: bytes
    body: bytes

    def read_headers(self) -> dict[str, str]:
        """The headers, without the first line."""
        return read_headers(self.headers.partition(b"\r\n")[2])


_MOST_KNOWN = 100
_known: set[str] = set()
"""Names that were checked before: events have the same few."""

Sink = Callable[[Frame], None]


def read_headers(raw: bytes) -> dict[str, str]:
    """The headers in a block of `Name: Value` lines; a line that is none is left out."""
    headers = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and (checked := name if name in _known else _checked(name)) is not None:
            headers[checked] = value.strip(_BLANK)
    return headers


def _checked(raw: str) -> str | None:
    """The name of a header, or None if it is none."""
    name = raw.strip(_BLANK)
    if not name.isascii() or " " in name:
        return None
    if name == raw and len(_known) < _MOST_KNOWN:
        _known.add(name)
    return name


class QuickClient(Client):
    """`nats.aio.client.Client`, but quicker at what the log is full of.

    What it replaces is not public in the library. Should that get other names there, it is not
    called any more and reading is slower, as a test will say (test_reader.py).
    """

    def __init__(self) -> None:
        super().__init__()
        self.sinks: dict[int, Sink] = {}
        self._ps = _QuickParser(self)

    async def pour(self, subject: str, sink: Sink) -> Subscription:
        """Subscribe: each message is given to `sink` as soon as it is read.

        There is no limit to what may arrive. It is for those who ask for each message.
        """

        async def late(_: object) -> None:
            """It comes when the sink is gone."""

        subscription = await self.subscribe(subject, cb=late)
        self.sinks[subscription._id] = sink  # noqa: SLF001
        return subscription

    async def stop_pouring(self, subscription: Subscription) -> None:
        """Unsubscribe."""
        self.sinks.pop(subscription._id, None)  # noqa: SLF001
        await subscription.unsubscribe()

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:
        """Return when the broker has seen all that was sent until now, subscriptions among it.

        The library's own writes its ping at once, which may overtake what waits to be written.
        """
        await self._flush_pending(force_flush=True)
        await super().flush(timeout)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        # What the parser below has left to the library's own.
        if sink := self.sinks.get(sid):
            sink(Frame(subject, reply, headers or _PLAIN, data))
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        return read_headers(raw)


class _QuickParser(Parser):
    """Hands on whole frames of poured messages; all else is left to the library's parser."""

    nc: QuickClient

    async def parse(self, data: bytes = b"") -> None:
        self.buf.extend(data)
        if self.nc.sinks and self.state == AWAITING_CONTROL_LINE:
            begun = self._pour()
            if begun:
                return
        await super().parse()

    def _pour(self) -> bool:
        """Whether the rest is a poured message that has not arrived whole."""
        arrived, at, sinks = bytes(self.buf), 0, self.nc.sinks
        begun = False
        while frame := _WITH_REPLY.match(arrived, at):
            subject, sid, reply, of_headers, of_all = frame.groups()
            sink, headers = sinks.get(int(sid)), frame.end()
            end = headers + int(of_all)
            if sink is None:
                break
            if begun := end + 2 > len(arrived):
                break
            body = headers + int(of_headers)
            sink(Frame(subject, reply, arrived[headers:body], arrived[body:end]))
            at = end + 2
        del self.buf[:at]
        return begun
