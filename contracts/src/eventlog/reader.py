"""Reads the whole log in order, and goes on as it grows, without ever missing an event.

The client library's ordered consumer drops messages silently when its reader is slow. This
one asks for a window of messages at a time, so nothing is sent that is not awaited, and
checks that the stream sequences follow each other without a gap.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from contracts.envelope import Recorded, Stored, from_headers
from contracts.upcasting import UnknownEventError
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.client import Frame
from eventlog.errors import BrokerError, GapError, UnavailableError
from eventlog.log import stored_event

log = structlog.get_logger(__name__)

WINDOW = 2000
EVERYTHING = (subjects.ALL_EVENTS,)
_HEARTBEAT_S = 2.0
_EXPIRES_S = 30.0
_SECOND = 1_000_000_000
_HEARTBEAT = b"NATS/1.0 100"
_REFUSED = b"NATS/1.0 409"
_SENT = "Nats-Last-Consumer"
_UNSENT = "Nats-Pending-Messages"

E = TypeVar("E", Recorded, Stored)


@dataclass(slots=True)
class _Window:
    """What has arrived of the messages asked for.

    It is handed on when it is full or nothing more is on its way: a reader that is far behind
    gets long lists, whose costs it pays once, and one that follows gets each event at once.

    The consumer counts what it sends, and does not send again what went to a server that died with
    it: `lost` says that this happened. What the consumer itself leaves out is missing from the log,
    which is another matter.
    """

    size: int
    arrived: deque[Frame] = field(default_factory=deque)
    awaited: int = 0
    taken: int = 0
    lost: bool = False
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, frame: Frame) -> None:
        self.arrived.append(frame)
        reply = frame.reply
        # The broker's own word has no reply. Of a message it ends with how many more there are.
        if not reply or reply.endswith(b".0") or len(self.arrived) >= self.size:
            self.stirred.set()


async def read_log(
    broker: Broker, after: int, window: int = WINDOW
) -> AsyncIterator[list[Recorded]]:
    """Every event after a sequence, in order, in lists of at most `window`, without end.

    Survives the loss of the connection, of the broker and of messages on their way. Raises
    GapError when events are missing from the log, and UnknownEventError when one cannot be
    understood.
    """
    async for events in _read(broker, after, window, _recorded):
        yield events


async def read_stored_log(
    broker: Broker, after: int, window: int = WINDOW, only: Sequence[str] = EVERYTHING
) -> AsyncGenerator[list[Stored], None]:
    """The same as they were written, whatever they say. Raises GapError.

    With `only`, the broker sends the events of these subjects and reads no others. They must not
    overlap, and what else is missing from the log is then not noticed.
    """
    async for events in _read(broker, after, window, _stored, only):
        yield events


async def _read(
    broker: Broker,
    after: int,
    window: int,
    understand: Callable[[Frame], E],
    only: Sequence[str] = EVERYTHING,
) -> AsyncIterator[list[E]]:
    whole, told = tuple(only) == EVERYTHING, False
    while True:
        try:
            async for frames in _read_once(broker, after, window, only):
                told = False
                events, unknown = _understood(frames, understand)
                for item in events:
                    if whole and item.sequence != after + 1:
                        raise GapError(after + 1, item.sequence)
                    after = item.sequence
                if events:
                    yield events
                if unknown:
                    raise unknown
        except UnavailableError as error:
            if not told:
                log.warning("reader.waiting", after=after, detail=str(error))
            told = True
        except BrokerError as error:
            log.warning("reader.refused", after=after, detail=str(error))
        await asyncio.sleep(0.25)


def _understood(
    frames: Sequence[Frame], understand: Callable[[Frame], E]
) -> tuple[list[E], UnknownEventError | None]:
    """The events up to the first that is not understood, which is no reason to lose them."""
    events: list[E] = []
    for frame in frames:
        try:
            events.append(understand(frame))
        except UnknownEventError as error:
            return events, error
    return events, None


async def _read_once(
    broker: Broker, after: int, window: int, only: Sequence[str]
) -> AsyncIterator[list[Frame]]:
    """Messages of one broker-side consumer, until it falls silent or the connection breaks."""
    name = f"{broker.address.role}-{secrets.token_hex(6)}"
    one = len(only) == 1
    await broker.api(
        f"CONSUMER.CREATE.{subjects.JOBS}.{name}" + (f".{only[0]}" if one else ""),
        {
            "stream_name": subjects.JOBS,
            "config": {
                "name": name,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": after + 1,
                "ack_policy": "none",
                **({"filter_subject": only[0]} if one else {"filter_subjects": list(only)}),
                "mem_storage": True,
                "num_replicas": 1,
                "inactive_threshold": 60 * _SECOND,
            },
        },
    )
    incoming = _Window(window)
    inbox = broker.client.new_inbox()
    subscription = await broker.client.pour(inbox, incoming.receive)
    broken = asyncio.Event()

    async def reconnected() -> None:
        broken.set()
        incoming.stirred.set()

    forget = broker.on_reconnect(reconnected)
    try:
        while not broken.is_set():
            # Before the window is empty, so that the broker does not idle while we are busy.
            if incoming.awaited <= window // 2:
                await _ask(broker, name, inbox, window)
                incoming.awaited += window
            if not await _stirred(incoming):
                log.warning("reader.silent", consumer=name)
                return
            if frames := _take(incoming):
                yield frames
            if incoming.lost:
                log.warning("reader.lost", consumer=name)
                return
    finally:
        forget()
        await _leave(broker, name, subscription)


async def _ask(broker: Broker, name: str, inbox: str, window: int) -> None:
    body = {
        "batch": window,
        "expires": int(_EXPIRES_S * _SECOND),
        "idle_heartbeat": int(_HEARTBEAT_S * _SECOND),
    }
    subject = f"{API}CONSUMER.MSG.NEXT.{subjects.JOBS}.{name}"
    await broker.send(subject, json.dumps(body).encode(), reply=inbox)


async def _stirred(incoming: _Window) -> bool:
    """Whether anything, if only a heartbeat, came in time."""
    try:
        async with asyncio.timeout(3 * _HEARTBEAT_S):
            await incoming.stirred.wait()
    except TimeoutError:
        return bool(incoming.arrived)
    return True


def _take(incoming: _Window) -> list[Frame]:
    """What has arrived, up to the first message before which another was lost."""
    frames: list[Frame] = []
    while incoming.arrived and len(frames) < incoming.size:
        frame = incoming.arrived.popleft()
        if frame.reply:
            incoming.lost = _consumer_sequence(frame) != incoming.taken + 1
            if incoming.lost:
                return frames
            frames.append(frame)
            incoming.taken += 1
            incoming.awaited -= 1
        elif frame.headers.startswith(_HEARTBEAT):
            # Of the last message nothing else would tell.
            incoming.lost = int(frame.read_headers().get(_SENT, 0)) > incoming.taken
            if incoming.lost:
                return frames
        else:
            # A request ended early: its time is over, or the consumer is gone.
            unsent = frame.read_headers().get(_UNSENT)
            incoming.awaited -= int(unsent) if unsent else incoming.awaited
            if frame.headers.startswith(_REFUSED) and b"Deleted" in frame.headers:
                raise UnavailableError("the reader's consumer was deleted")
    if len(incoming.arrived) < incoming.size:
        incoming.stirred.clear()
    return frames


async def _leave(broker: Broker, name: str, subscription: Subscription) -> None:
    with suppress(ConnectionClosedError, UnavailableError, BrokerError):
        await broker.client.stop_pouring(subscription)
        if broker.connected:
            await broker.api(f"CONSUMER.DELETE.{subjects.JOBS}.{name}")


def from_delivery(msg: Msg) -> Recorded:
    """The event in a message that a consumer of the log delivered."""
    return from_headers(msg.headers or {}, msg.data, sequence_of(msg))


def sequence_of(msg: Msg) -> int:
    """Where a message that a consumer of the log delivered stands in it, readable or not."""
    return _sequence(msg.reply)


def _recorded(frame: Frame) -> Recorded:
    return from_headers(frame.read_headers(), frame.body, _sequence(frame.reply.decode()))


def _stored(frame: Frame) -> Stored:
    sequence = _sequence(frame.reply.decode())
    return stored_event(frame.read_headers(), frame.body, sequence, frame.subject.decode())


def _consumer_sequence(frame: Frame) -> int:
    return int(frame.reply.rsplit(b".", 3)[1])


def _sequence(reply: str) -> int:
    # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>,
    # with <domain>.<account hash> before the stream on newer servers.
    return int(reply.rsplit(".", 4)[1])
