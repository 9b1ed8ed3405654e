"""Copies whole streams out of the broker and back: what a backup of the log is made of.

It is the broker's own snapshot (nats-server, `server/jetstream_api.go` and `stream_backup.go`):
sequences, times, headers and the places of consumers come back as they were. A restored stream
is a new one with a creation time of its own. That is as well: the same sequences may soon hold
other events, so whatever was derived from the old stream must not be taken for the new one's.
Takes the role `admin`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError

from eventlog.broker import API, Broker
from eventlog.errors import BrokerError, EventLogError, UnavailableError

_CHUNK_BYTES = 128 << 10
_WINDOW_BYTES = 8 << 20
_PATIENCE_S = 30.0
# The broker has all chunks then, and syncs what it has made of them.
_LAST_PATIENCE_S = 600.0
_DONE = "204"
_NO_SUCH_STREAM = 10059


class ArchiveError(EventLogError):
    """A stream could not be copied. A stream that was to be restored may be there in part."""

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(f"stream {stream} was not copied: {reason}")
        self.stream = stream


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the broker says of a stream: when it was made, its configuration and its state."""

    name: str
    created: datetime
    config: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def last_sequence(self) -> int:
        """The last sequence that was given; 0 in a stream that never had a message."""
        return int(self.state["last_seq"])

    @property
    def extent(self) -> tuple[int, ...]:
        """Messages, their bytes, first and last sequence: equal in a stream and its copy."""
        first = 0 if self.last_sequence == 0 else int(self.state["first_seq"])
        return int(self.state["messages"]), int(self.state["bytes"]), first, self.last_sequence


async def facts(broker: Broker, stream: str) -> StreamFacts | None:
    """The facts about a stream, or None if there is none of this name."""
    info = json.loads((await broker.request(f"{API}STREAM.INFO.{stream}")).data)
    if error := info.get("error"):
        if error.get("err_code") == _NO_SUCH_STREAM:
            return None
        raise BrokerError(stream, int(error.get("err_code", 0)), error.get("description", ""))
    return _facts(stream, info)


async def consumer_names(broker: Broker, stream: str) -> list[str]:
    """The durable consumers of a stream, in order of their names."""
    names: list[str] = []
    offset = 0
    while True:
        page = await broker.api(f"CONSUMER.LIST.{stream}", {"offset": offset})
        found = page.get("consumers") or ()
        names += [each["name"] for each in found if each["config"].get("durable_name")]
        offset += len(found)
        if not found or offset >= int(page["total"]):
            return sorted(names)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream on its way out. `chunks` must be read to its end, and soon."""

    facts: StreamFacts
    chunks: AsyncIterator[bytes]


async def snapshot(broker: Broker, stream: str) -> Snapshot:
    """A copy of a stream as it is now; it may be written meanwhile.

    Raises UnavailableError if there is no such stream. The chunks end with ArchiveError if the
    copy is not whole, and with UnavailableError if the broker falls silent.
    """
    created = _facts(stream, await broker.api(f"STREAM.INFO.{stream}")).created
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = broker.client.new_inbox()
    subscription = await broker.client.subscribe(inbox, cb=arrived.put)
    body = {
        "deliver_subject": inbox,
        "chunk_size": _CHUNK_BYTES,
        "window_size": _WINDOW_BYTES,
        "jsck": True,
    }
    try:
        # Older brokers look at every message first.
        reply = await broker.api(f"STREAM.SNAPSHOT.{stream}", body, _LAST_PATIENCE_S)
    except BaseException:
        await subscription.unsubscribe()
        raise

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async for chunk in _arriving(broker, stream, arrived):
                yield chunk
        finally:
            with suppress(ConnectionClosedError):
                await subscription.unsubscribe()

    return Snapshot(StreamFacts(stream, created, reply["config"], reply["state"]), chunks())


async def _arriving(
    broker: Broker, stream: str, arrived: asyncio.Queue[Msg]
) -> AsyncIterator[bytes]:
    number = 0
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                msg = await arrived.get()
        except TimeoutError as error:
            raise UnavailableError(f"the next part of stream {stream}") from error
        if not msg.data:
            status = (msg.headers or {}).get("Status", _DONE)
            if status != _DONE:
                reason = (msg.headers or {}).get("Description", f"status {status}")
                raise ArchiveError(stream, reason)
            return
        if msg.reply:
            # The broker counts the chunks in the subjects of their acknowledgements.
            number += 1
            if int(msg.reply.rpartition(".")[2]) != number:
                raise ArchiveError(stream, f"part {number} was lost on its way; try again")
            await broker.client.publish(msg.reply)
        yield msg.data


async def restore(
    broker: Broker,
    stream: str,
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    chunks: AsyncIterator[bytes],
) -> StreamFacts:
    """Make a stream from a snapshot and return the facts about it.

    It gets the replicas of its configuration in a cluster, and one elsewhere. There must be no
    stream of this name. Raises ArchiveError if what comes is no whole snapshot, BrokerError if
    the broker refuses it, UnavailableError if it falls silent.
    """
    wanted = dict(config) if _clustered(broker) else {**config, "num_replicas": 1}
    body = {"config": wanted, "state": dict(state)}
    subject = str((await broker.api(f"STREAM.RESTORE.{stream}", body))["deliver_subject"])
    async for chunk in chunks:
        for first in range(0, len(chunk), _CHUNK_BYTES):
            part = chunk[first : first + _CHUNK_BYTES]
            _check(stream, await broker.request(subject, part, timeout=_PATIENCE_S))
    _check(stream, await broker.request(subject, timeout=_LAST_PATIENCE_S))
    return _facts(stream, await broker.api(f"STREAM.INFO.{stream}"))


async def drop(broker: Broker, stream: str) -> None:
    """Remove a stream with all that is in it: an empty one, or what a failed restore has left."""
    await broker.api(f"STREAM.DELETE.{stream}")


def _clustered(broker: Broker) -> bool:
    # The client keeps what the server says of itself, and has no other way to it.
    return bool(broker.client._server_info.get("cluster"))  # noqa: SLF001


def _check(stream: str, reply: Msg) -> None:
    said = json.loads(reply.data) if reply.data else {}
    if error := said.get("error"):
        raise ArchiveError(stream, str(error.get("description", error)))


def _facts(stream: str, info: Mapping[str, Any]) -> StreamFacts:
    created = datetime.fromisoformat(info["created"])
    return StreamFacts(stream, created, info["config"], info["state"])
