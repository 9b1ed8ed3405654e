"""The part of JetStream's pull consumers that the services use, in memory.

What is delivered and not acknowledged within `ack_wait` is delivered again, to whoever asks. An
acknowledgement counts by the message's sequence alone, whoever sends it and however late.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.streams import Headers, Kept, Stream

_SECOND = 1_000_000_000


@dataclass(slots=True)
class Pull:
    """A request for messages that is not fulfilled yet."""

    inbox: str
    left: int
    expiry: asyncio.TimerHandle | None = None
    beat: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Nothing more comes of it."""
        self.left = 0
        for timer in (self.expiry, self.beat):
            if timer is not None:
                timer.cancel()


@dataclass(slots=True)
class Outside:
    """What a consumer needs of its server."""

    send: Callable[[str, str, str, Headers, bytes], None]
    """To an inbox: the message's subject, its reply subject, headers and body."""
    listens: Callable[[str], bool]
    """Whether anybody has subscribed to an inbox."""
    later: Callable[..., asyncio.TimerHandle]
    now: Callable[[], float]
    advise: Callable[[str, dict[str, Any]], None]
    """Publish an advisory of a kind."""


@dataclass(slots=True)
class Consumer:
    """One consumer of a stream, as its `config` says."""

    stream: Stream
    config: Mapping[str, Any]
    outside: Outside
    _next: int = field(init=False)
    _sent: int = 0
    _pulls: deque[Pull] = field(default_factory=deque)
    _pending: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    _again: deque[int] = field(default_factory=deque)
    _deliveries: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._next = int(self.config.get("opt_start_seq", 1))
        if self.config.get("deliver_policy") == "new":
            self._next = self.stream.last + 1

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.config["name"])

    @property
    def filters(self) -> list[str]:
        """Of which subjects it gets messages."""
        one = self.config.get("filter_subject")
        return [one] if one else list(self.config.get("filter_subjects", [">"]))

    @property
    def lasts(self) -> bool:
        """Whether a restart of the server leaves it as it is."""
        return "durable_name" in self.config and self.stream.config.get("storage") == "file"

    @property
    def _acknowledged(self) -> bool:
        return self.config.get("ack_policy") == "explicit"

    def pull(self, inbox: str, body: Mapping[str, Any]) -> None:
        """Somebody asks for messages."""
        pull = Pull(inbox, int(body.get("batch", 1)))
        self._pulls.append(pull)
        self.pump()
        if not pull.left:
            return
        if body.get("no_wait"):
            self._pulls.remove(pull)
            self._status(pull, "404", "No Messages")
            return
        pull.expiry = self.outside.later(body["expires"] / _SECOND, self._expire, pull)
        if beat := body.get("idle_heartbeat"):
            pull.beat = self.outside.later(beat / _SECOND, self._beat, pull, beat / _SECOND)

    def _expire(self, pull: Pull) -> None:
        if pull in self._pulls:
            self._pulls.remove(pull)
            left = {"Nats-Pending-Messages": str(pull.left), "Nats-Pending-Bytes": "0"}
            self._status(pull, "408", "Request Timeout", left)

    def _beat(self, pull: Pull, every_s: float) -> None:
        sent = {"Nats-Last-Consumer": str(self._sent), "Nats-Last-Stream": str(self._next - 1)}
        headers = {"Status": "100", "Description": "Idle Heartbeat", **sent}
        self.outside.send(pull.inbox, pull.inbox, "", headers, b"")
        pull.beat = self.outside.later(every_s, self._beat, pull, every_s)

    def _status(
        self, pull: Pull, status: str, description: str, more: Headers | None = None
    ) -> None:
        pull.end()
        headers = {"Status": status, "Description": description, **(more or {})}
        self.outside.send(pull.inbox, pull.inbox, "", headers, b"")

    def pump(self) -> None:
        """Give what there is to those who have asked."""
        while self._pulls:
            pull = self._pulls[0]
            if not self.outside.listens(pull.inbox):
                self._pulls.popleft().end()
                continue
            kept = self._take()
            if kept is None:
                return
            self._deliver(pull, kept)
            if not pull.left:
                self._pulls.popleft().end()

    def _take(self) -> Kept | None:
        while self._again:
            sequence = self._again.popleft()
            kept = self.stream.at(sequence)
            if kept is None:
                continue
            if self._deliveries[sequence] < self.config.get("max_deliver", -1) or (
                self.config.get("max_deliver", -1) < 0
            ):
                return kept
            about = {"stream_seq": sequence, "deliveries": self._deliveries[sequence]}
            self._advise("MAX_DELIVERIES", "max_deliver", about)
        if self._next > self.stream.last:
            return None
        for kept in self.stream.from_(self._next, self.filters):
            self._next = kept.sequence + 1
            return kept
        self._next = self.stream.last + 1
        return None

    def _deliver(self, pull: Pull, kept: Kept) -> None:
        pull.left -= 1
        self._sent += 1
        number = self._deliveries[kept.sequence] = self._deliveries.get(kept.sequence, 0) + 1
        if self._acknowledged:
            self._wait(kept.sequence, self.config["ack_wait"] / _SECOND)
        left = sum(1 for _ in self.stream.from_(self._next, self.filters))
        name = f"{self.stream.name}.{self.name}"
        published = int(kept.at * _SECOND)
        reply = f"$JS.ACK.{name}.{number}.{kept.sequence}.{self._sent}.{published}.{left}"
        self.outside.send(pull.inbox, kept.subject, reply, kept.headers, kept.data)

    def _wait(self, sequence: int, seconds: float) -> None:
        if earlier := self._pending.get(sequence):
            earlier.cancel()
        self._pending[sequence] = self.outside.later(seconds, self._overdue, sequence)

    def _overdue(self, sequence: int) -> None:
        del self._pending[sequence]
        self._again.append(sequence)
        self.pump()

    def delivered(self, sequence: int) -> bool:
        """Whether the message at a sequence was delivered to anybody."""
        return sequence < self._next

    def acknowledged(self, sequence: int, word: bytes, tokens: list[str]) -> None:
        """Somebody says how a message went. `tokens` are those of its reply subject."""
        if word.startswith(b"+WPI"):
            if sequence in self._pending:
                self._wait(sequence, self.config["ack_wait"] / _SECOND)
            return
        if word.startswith(b"-NAK"):
            delay = json.loads(word[4:] or b"{}").get("delay", 0) / _SECOND
            if sequence in self._pending:
                self._wait(sequence, delay)
            return
        if word.startswith(b"+TERM") and sequence in self._pending:
            about = {"consumer_seq": int(tokens[-3]), "stream_seq": sequence}
            about |= {"deliveries": int(tokens[-5]), "reason": word[5:].strip().decode()}
            self._advise("MSG_TERMINATED", "terminated", about)
        if timer := self._pending.pop(sequence, None):
            timer.cancel()
        if sequence in self._again:
            self._again.remove(sequence)
        if self.stream.config.get("retention") == "workqueue":
            self.stream.remove(sequence)

    def _advise(self, kind: str, name: str, about: Mapping[str, Any]) -> None:
        self.outside.advise(
            f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{self.stream.name}.{self.name}",
            {
                "type": f"io.nats.jetstream.advisory.v1.{name}",
                "stream": self.stream.name,
                "consumer": self.name,
                **about,
            },
        )

    def forget_pulls(self) -> None:
        """Nobody who has asked is connected any more."""
        for pull in self._pulls:
            pull.end()
        self._pulls.clear()

    def end(self, *, told: bool) -> None:
        """It is deleted, and those who wait are `told`, or it is gone with its server."""
        for pull in self._pulls:
            if told:
                self._status(pull, "409", "Consumer Deleted")
        self.forget_pulls()
        for timer in self._pending.values():
            timer.cancel()
        self._pending.clear()
