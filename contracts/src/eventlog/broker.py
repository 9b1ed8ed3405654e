"""One connection to the broker: requests to the JetStream API, with errors that say why.

A denied publish looks like a time-out to its caller in NATS; here the connection's
asynchronous error is matched to the waiting request, so that it fails at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import (
    ConnectionClosedError,
    NoRespondersError,
    OutboundBufferLimitError,
    UnexpectedEOF,
)
from nats.errors import TimeoutError as NatsTimeoutError

from eventlog.client import QuickClient
from eventlog.errors import BrokerError, DeniedError, UnavailableError

log = structlog.get_logger(__name__)

API = "$JS.API."
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 2.0
"""Between tries to reach a broker that is away: twice as long each time."""
# What passes by itself: a cluster has no leader at the moment, or its servers have not all met yet.
# The codes are those of https://github.com/nats-io/nats-server/blob/main/server/errors.json.
_PASSING = {
    10059: "the streams are not made yet",
    10005: "too few servers have joined the cluster",
    10008: "the cluster has no leader yet",
    10009: "another server leads the cluster now",
}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are. `seed_file` holds the user's nkey seed.

    `url` may list several servers of one cluster, separated by commas.
    """

    url: str
    role: str
    seed_file: Path | None = None


@dataclass(slots=True)
class Broker:
    """A connection. Make it with `connect`, end it with `close`."""

    client: QuickClient
    address: BrokerAddress
    _waiting: dict[str, set[asyncio.Future[Msg]]] = field(default_factory=dict)
    _on_reconnect: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _on_disconnect: list[Callable[[], None]] = field(default_factory=list)
    _away: bool = False
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the broker does not know who we are."""

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self.client.is_connected

    async def close(self) -> None:
        """Flush what was published and disconnect."""
        # A connection that was lost cannot be flushed (OSError), and is closed all the same.
        with contextlib.suppress(ConnectionClosedError, NatsTimeoutError, OSError):
            await self.client.close()

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Call back after every reconnection; returns a function that ends it."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back whenever the connection is lost."""
        self._on_disconnect.append(callback)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> Msg:
        """One request and its reply.

        Raises UnavailableError when none comes in time, DeniedError when we may not ask.
        """
        loop = asyncio.get_running_loop()
        denied: asyncio.Future[Msg] = loop.create_future()
        waiting = self._waiting.setdefault(subject, set())
        waiting.add(denied)
        reply = asyncio.ensure_future(
            self.client.request(subject, payload, timeout, headers=dict(headers or {}) or None)
        )
        try:
            await asyncio.wait({reply, denied}, return_when=asyncio.FIRST_COMPLETED)
            if denied.done():
                denied.result()
            return await reply
        except (NatsTimeoutError, NoRespondersError, OutboundBufferLimitError) as error:
            raise UnavailableError(subject) from error
        except ConnectionClosedError as error:
            raise UnavailableError(f"{subject} (connection closed)") from error
        finally:
            reply.cancel()
            waiting.discard(denied)
            if not waiting:
                self._waiting.pop(subject, None)

    async def api(
        self, subject: str, body: Mapping[str, Any] | None = None, timeout: float = 5.0
    ) -> dict[str, Any]:
        """A JetStream API call such as `STREAM.INFO.JOBS`; BrokerError if it is refused."""
        payload = json.dumps(body).encode() if body is not None else b""
        reply = json.loads((await self.request(API + subject, payload, timeout=timeout)).data)
        if error := reply.get("error"):
            _check_passing(subject, error)
            raise BrokerError(subject, int(error.get("err_code", 0)), error.get("description", ""))
        return dict(reply)

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Publish to a stream and return its acknowledgement, which may be an `error`."""
        reply = dict(json.loads((await self.request(subject, payload, headers)).data))
        if error := reply.get("error"):
            _check_passing(subject, error)
        return reply

    async def send(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        reply: str = "",
    ) -> None:
        """Send a message on its way, and do not wait for what becomes of it.

        Raises UnavailableError when too much waits already for a broker that is away.
        """
        try:
            await self.client.publish(
                subject, payload, reply=reply, headers=dict(headers or {}) or None
            )
        except (ConnectionClosedError, OutboundBufferLimitError) as error:
            raise UnavailableError(subject) from error

    async def pull(self, stream: str, consumer: str, wait_s: float = 0.0) -> Msg | None:
        """The next message of a pull consumer, or None if none comes within `wait_s`."""
        body: dict[str, int | bool] = {"batch": 1}
        if wait_s > 0:
            body["expires"] = int(wait_s * 1_000_000_000)
        else:
            body["no_wait"] = True
        subject = f"{API}CONSUMER.MSG.NEXT.{stream}.{consumer}"
        # A delivered message keeps its own subject, so the shared reply inbox would not know it.
        inbox = self.client.new_inbox()
        try:
            subscription = await self.client.subscribe(inbox, max_msgs=1)
            await self.send(subject, json.dumps(body).encode(), reply=inbox)
            try:
                msg = await _next(subscription, wait_s + 2.0)
            except NatsTimeoutError:
                await subscription.unsubscribe()
                return None
        except ConnectionClosedError as error:
            raise UnavailableError(subject) from error
        status = (msg.headers or {}).get("Status")
        if status == "503":
            raise UnavailableError(f"{subject} (there is no such consumer)")
        return None if status else msg

    async def many(
        self, subject: str, body: Mapping[str, Any], timeout: float = 5.0
    ) -> AsyncIterator[Msg]:
        """A direct get that has many replies: each message until the end of the batch.

        Each tells which came before it. In a cluster some are lost if a connection between servers
        breaks, and that is an UnavailableError: whoever reads again gets all of them.
        """
        inbox = self.client.new_inbox()
        sub = await self.client.subscribe(inbox)
        before = "0"
        try:
            await self.send(subject, json.dumps(body).encode(), reply=inbox)
            while True:
                try:
                    msg = await _next(sub, timeout)
                except NatsTimeoutError as error:
                    raise UnavailableError(subject) from error
                headers = msg.headers or {}
                status = headers.get("Status")
                if status == "503":
                    raise UnavailableError(subject)
                if status not in (None, "204", "404"):
                    raise BrokerError(subject, int(status), str(headers))
                if headers.get("Nats-Last-Sequence", before) != before:
                    raise UnavailableError(f"{subject} (a reply was lost on its way)")
                if status is not None:
                    return
                before = headers.get("Nats-Sequence", before)
                yield msg
        except ConnectionClosedError as error:
            raise UnavailableError(f"{subject} (connection closed)") from error
        finally:
            with contextlib.suppress(ConnectionClosedError):
                await sub.unsubscribe()

    async def note_error(self, error: Exception) -> None:
        """For the client: an error that belongs to no reply."""
        # Being told to stop while the connection is refused would else be forgotten, see `_next`.
        _end_if_cancelled()
        text = str(error)
        if "authorization violation" in text.lower():
            self.refused.set()
        if "permissions violation" in text.lower():
            subject = text.split('"')[1] if '"' in text else ""
            log.error("broker.denied", detail=text)
            # The server lower-cases the subject in this error.
            for waiting_subject, futures in self._waiting.items():
                if waiting_subject.lower() == subject.lower():
                    for future in futures:
                        if not future.done():
                            future.set_exception(DeniedError(text))
            return
        if self._away:
            # One line has told of it; each try in vain is no news, and may wait longer.
            self._pause(2.0)
            return
        if self.connected and isinstance(error, UnexpectedEOF):
            # The line about the lost connection follows.
            return
        if not self.connected:
            self._away = True
        log.warning("broker.error", detail=text or type(error).__name__)

    async def note_disconnection(self) -> None:
        """For the client: the broker is away."""
        if self.client.is_closed:
            return
        if not self._away:
            log.warning("broker.disconnected", url=self.address.url)
        self._away = True
        for callback in self._on_disconnect:
            callback()

    def _pause(self, factor: float) -> None:
        """Wait so many times as long before the next try; 0 is as short as at first."""
        wait_s = self.client.options["reconnect_time_wait"] * factor
        self.client.options["reconnect_time_wait"] = min(
            max(wait_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S
        )

    def note_connection(self) -> None:
        """The broker is there. Who has heard that it was away is told."""
        if self._away:
            log.info("broker.reconnected", url=self.address.url)
        self._away = False
        self._pause(0.0)

    async def note_reconnection(self) -> None:
        """For the client: the broker is back."""
        self.note_connection()
        for callback in tuple(self._on_reconnect):
            await callback()


def _check_passing(subject: str, error: Mapping[str, Any]) -> None:
    """UnavailableError if what the broker cannot do now it can do later."""
    if why := _PASSING.get(int(error.get("err_code", 0))):
        raise UnavailableError(f"{subject} ({why})")


async def _next(subscription: Subscription, timeout: float) -> Msg:
    """The next message of a subscription.

    The client waits with `asyncio.wait_for`, which in Python 3.11 forgets that its task was
    cancelled if a message comes in the same moment; a worker would then never stop.
    """
    msg = await subscription.next_msg(timeout)
    _end_if_cancelled()
    return msg


def _end_if_cancelled() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def connect(address: BrokerAddress) -> Broker:
    """Connect, and keep trying for as long as the broker is away."""
    broker = Broker(QuickClient(), address)
    await _open(broker)
    return broker


async def reach(address: BrokerAddress, within_s: float = 5.0) -> Broker:
    """Connect for somebody who would rather know at once.

    Raises UnavailableError when nobody answers in time, DeniedError when we are not let in.
    """
    broker = Broker(QuickClient(), address)
    opening = asyncio.ensure_future(_open(broker))
    refused = asyncio.ensure_future(broker.refused.wait())
    done: set[asyncio.Future[Any]] = set()
    try:
        done, _ = await asyncio.wait(
            {opening, refused}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
        )
        if opening in done:
            opening.result()
            return broker
        if refused in done:
            raise DeniedError(f"the broker at {address.url} does not know this user")
        raise UnavailableError(f"{address.url} (nobody answers there)")
    finally:
        refused.cancel()
        if opening not in done:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await broker.close()


async def _open(broker: Broker) -> None:
    address = broker.address

    await broker.client.connect(
        address.url.split(","),
        name=f"myspinbot-{address.role}",
        nkeys_seed=str(address.seed_file) if address.seed_file else None,
        inbox_prefix=f"_INBOX_{address.role}",
        error_cb=broker.note_error,
        disconnected_cb=broker.note_disconnection,
        reconnected_cb=broker.note_reconnection,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_FIRST_PAUSE_S,  # type: ignore[arg-type]  # it is only slept for
        connect_timeout=2,
        ping_interval=10,
        max_outstanding_pings=2,
    )
    broker.note_connection()
