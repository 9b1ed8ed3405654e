"""The part of JetStream's streams that the services use, in memory: what is kept, in which order.

It is held to a real nats-server by `test_simulation_conformance`. Error codes are those of
https://github.com/nats-io/nats-server/blob/main/server/errors.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Headers = dict[str, str]

_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_SECOND = 1_000_000_000


@lru_cache(1 << 16)
def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of those that a pattern stands for."""
    if pattern == subject:
        return True
    parts, wanted = subject.split("."), pattern.split(".")
    for index, one in enumerate(wanted):
        if one == ">":
            return len(parts) > index
        if index >= len(parts) or one not in ("*", parts[index]):
            return False
    return len(parts) == len(wanted)


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as a stream keeps it; `at` is in seconds since the world began."""

    sequence: int
    subject: str
    headers: Headers
    data: bytes
    at: float


class RefusedError(Exception):
    """A stream does not take a message."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.error = {"code": code, "err_code": err_code, "description": description}


@dataclass(slots=True)
class _Batch:
    messages: list[tuple[str, Headers, bytes]] = field(default_factory=list)
    whole: bool = True


class Stream:
    """One stream. `grown` is called after each message that was kept."""

    def __init__(
        self, config: Mapping[str, Any], created: float, grown: Callable[[Stream], None]
    ) -> None:
        self.config = dict(config)
        self.name = str(config["name"])
        self.subjects: list[str] = list(config["subjects"])
        self.created = created
        self.last = int(config.get("first_seq", 1)) - 1
        self._grown = grown
        self._kept: dict[int, Kept] = {}
        self._last_of: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._batches: dict[str, _Batch] = {}

    def takes(self, subject: str) -> bool:
        """Whether messages of this subject enter the stream."""
        return any(matches(pattern, subject) for pattern in self.subjects)

    def publish(self, subject: str, headers: Headers, data: bytes, now: float) -> dict[str, Any]:
        """Keep a message; the acknowledgement, or nothing within a batch. Raises RefusedError."""
        if batch := headers.get("Nats-Batch-Id"):
            return self._batched(batch, subject, headers, data, now)
        self._check_expected(subject, headers)
        message_id = headers.get("Nats-Msg-Id")
        if message_id in self._ids:
            return {"stream": self.name, "seq": self._ids[message_id], "duplicate": True}
        self._make_room(subject, now)
        sequence = self._keep(subject, headers, data, now)
        self._grown(self)
        return {"stream": self.name, "seq": sequence}

    def _batched(
        self, name: str, subject: str, headers: Headers, data: bytes, now: float
    ) -> dict[str, Any]:
        batch = self._batches.setdefault(name, _Batch())
        batch.messages.append((subject, headers, data))
        batch.whole = batch.whole and int(headers["Nats-Batch-Sequence"]) == len(batch.messages)
        if "Nats-Batch-Commit" not in headers:
            return {}
        del self._batches[name]
        if not batch.whole:
            raise RefusedError(400, 10176, "atomic publish batch is incomplete")
        ids: set[str] = set()
        for its_subject, one, _ in batch.messages:
            message_id = one.get("Nats-Msg-Id", "")
            if message_id in self._ids or message_id in ids:
                raise RefusedError(400, 10201, "atomic publish batch contains duplicate message id")
            ids.add(message_id)
            self._check_expected(its_subject, one)
        for one in batch.messages:
            sequence = self._keep(*one, now)
        self._grown(self)
        count = len(batch.messages)
        return {"stream": self.name, "seq": sequence, "batch": name, "count": count}

    def _check_expected(self, subject: str, headers: Headers) -> None:
        expected = headers.get(_EXPECT)
        if expected is None:
            return
        last = self.last_of(headers.get(f"{_EXPECT}-Subject", subject))
        found = last.sequence if last else 0
        if found != int(expected):
            raise RefusedError(400, 10071, f"wrong last sequence: {found}")

    def _make_room(self, subject: str, now: float) -> None:
        self._forget_old(now)
        if self.config.get("max_msgs_per_subject", -1) != 1 or subject not in self._last_of:
            return
        if self.config.get("discard_new_per_subject"):
            raise RefusedError(503, 10077, "maximum messages per subject exceeded")
        self.remove(self._last_of[subject])

    def _forget_old(self, now: float) -> None:
        if not (age := self.config.get("max_age")):
            return
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.at + age / _SECOND > now:
                return
            self.remove(oldest.sequence)

    def _keep(self, subject: str, headers: Headers, data: bytes, now: float) -> int:
        self.last += 1
        self._kept[self.last] = Kept(self.last, subject, headers, data, now)
        self._last_of[subject] = self.last
        if message_id := headers.get("Nats-Msg-Id"):
            self._ids[message_id] = self.last
        return self.last

    def remove(self, sequence: int) -> bool:
        """Take a message out; False if it is not there."""
        kept = self._kept.pop(sequence, None)
        if kept is not None and self._last_of.get(kept.subject) == sequence:
            del self._last_of[kept.subject]
        return kept is not None

    def at(self, sequence: int) -> Kept | None:
        """The message at a sequence."""
        return self._kept.get(sequence)

    def last_of(self, pattern: str) -> Kept | None:
        """The newest message of the subjects that a pattern stands for."""
        if pattern in self._last_of:
            return self._kept[self._last_of[pattern]]
        for kept in reversed(self._kept.values()):
            if matches(pattern, kept.subject):
                return kept
        return None

    def lasts(self, patterns: list[str], now: float) -> list[Kept]:
        """The newest message of each subject."""
        self._forget_old(now)
        found = [
            self._kept[sequence]
            for subject, sequence in self._last_of.items()
            if any(matches(pattern, subject) for pattern in patterns)
        ]
        return sorted(found, key=lambda kept: kept.sequence)

    def from_(self, sequence: int, patterns: list[str]) -> Iterator[Kept]:
        """The messages from a sequence on."""
        if sequence + len(self._kept) > self.last and self.last - sequence < 64:
            found = (self._kept.get(number) for number in range(sequence, self.last + 1))
        else:
            found = (kept for kept in list(self._kept.values()) if kept.sequence >= sequence)
        for kept in found:
            if kept and any(matches(pattern, kept.subject) for pattern in patterns):
                yield kept

    @property
    def length(self) -> int:
        """How many messages there are."""
        return len(self._kept)
