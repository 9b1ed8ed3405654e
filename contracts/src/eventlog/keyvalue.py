"""Values by key on a lasting stream, each changed only by who has seen its latest revision.

What people set up (tokens, webhooks, pipelines, uploads) is kept so. A key is a subject. A
deleted key keeps a tombstone for a day, so that whoever looks sees that it is gone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import structlog
from contracts.base import Contract
from nats.aio.msg import Msg
from pydantic import ValidationError

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.errors import BrokerError, EventLogError, UnavailableError
from eventlog.patience import insist

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=Contract)

_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_OPERATION = "KV-Operation"
_DELETED = "DEL"
_TTL = "Nats-TTL"
_TOMBSTONE_S = 86_400
_SECOND = 1_000_000_000
_WAIT_S = 10.0
_PAGE = 1000
_MOVED_ON = (10071, 10164)


class RevisionError(EventLogError):
    """Somebody else has changed or made the key. Read it again."""

    def __init__(self, key: str, expected: int) -> None:
        super().__init__(f"{key} is not at revision {expected} any more")
        self.key = key


class UnreadableRecordError(EventLogError):
    """A value is not what this program would keep under its key. It stays as it is."""

    def __init__(self, key: str, errors: int) -> None:
        super().__init__(f"{key} is not of a known form ({errors} errors); a newer one is needed")
        self.key = key


@dataclass(frozen=True, slots=True)
class Entry:
    """A value; `revision` rises with every change of it."""

    key: str
    data: bytes
    revision: int

    def read(self, model: type[M]) -> M:
        """The record in it; UnreadableRecordError if a newer program has written it, or nobody."""
        try:
            return model.model_validate_json(self.data)
        except ValidationError as error:
            raise UnreadableRecordError(self.key, error.error_count()) from error


class KeyValue:
    """The keys of one stream. Every method raises UnavailableError when the broker is away."""

    def __init__(self, broker: Broker, stream: str = subjects.CONFIG) -> None:
        self._broker = broker
        self._stream = stream

    async def get(self, key: str) -> Entry | None:
        """The value of a key, or None if it has none."""
        entry, deleted = await self._last(key)
        return None if deleted else entry

    async def all(self, key_filter: str) -> AsyncIterator[Entry]:
        """Every value whose key matches, such as `config.tokens.>`, each key once."""
        # Page by page: the broker gives the last messages of at most 1024 subjects in one answer.
        found: dict[str, Entry] = {}
        after, more = 0, True
        while more:
            more = False
            query = {"batch": _PAGE, "seq": after + 1, "next_by_subj": key_filter}
            async for msg in self._broker.many(f"{API}DIRECT.GET.{self._stream}", query):
                entry, deleted = _entry(msg)
                after = entry.revision
                more = int((msg.headers or {}).get("Nats-Num-Pending", 0)) > 0
                # What changes meanwhile comes again, and is then as it has become.
                found.pop(entry.key, None)
                if not deleted:
                    found[entry.key] = entry
        for entry in found.values():
            yield entry

    async def create(self, key: str, data: bytes, ttl_s: int | None = None) -> int:
        """Give a key its first value and return its revision; RevisionError if it has one."""
        last, deleted = await self._last(key)
        if last is not None and not deleted:
            raise RevisionError(key, 0)
        return await self.put(key, data, last.revision if last else 0, ttl_s)

    async def put(
        self, key: str, data: bytes, expected: int | None = None, ttl_s: int | None = None
    ) -> int:
        """Set a value and return its revision; RevisionError if it is not at `expected`."""
        headers = {_TTL: f"{ttl_s}s"} if ttl_s else {}
        return await self._publish(key, data, expected, headers)

    async def delete(self, key: str, expected: int | None = None) -> None:
        """Remove a value; a key that has none is no error."""
        headers = {_OPERATION: _DELETED, _TTL: f"{_TOMBSTONE_S}s"}
        await self._publish(key, b"", expected, headers)

    async def _publish(
        self, key: str, data: bytes, expected: int | None, headers: Mapping[str, str]
    ) -> int:
        guarded = dict(headers)
        if expected is not None:
            guarded[_EXPECT] = str(expected)
        reply = await self._broker.publish(key, data, guarded)
        error = reply.get("error")
        if error is None:
            return int(reply["seq"])
        code = int(error.get("err_code", 0))
        if code in _MOVED_ON and expected is not None:
            raise RevisionError(key, expected)
        raise BrokerError(key, code, error.get("description", ""))

    async def _last(self, key: str) -> tuple[Entry | None, bool]:
        body = json.dumps({"last_by_subj": key}).encode()
        msg = await self._broker.request(f"{API}DIRECT.GET.{self._stream}", body)
        if (msg.headers or {}).get("Status") == "404":
            return None, False
        return _entry(msg)

    async def follow(
        self,
        key_filter: str,
        changed: Callable[[str, Entry | None], None],
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Tell of every value that matches, and then of every change, for ever.

        `changed` gets the key and its value, None once it is deleted. A value may be told
        twice, and one that ends by its own time is not told.
        """
        known: set[str] = set()

        def tell(key: str, entry: Entry | None) -> None:
            changed(key, entry)
            (known.add if entry else known.discard)(key)

        while True:
            # What changes while all is read waits in the consumer.
            consumer = await insist(lambda: self._consumer(key_filter))
            try:
                found = {entry.key: entry async for entry in self.all(key_filter)}
                for key in known - found.keys():
                    tell(key, None)
                for key, entry in found.items():
                    tell(key, entry)
                started()
                while True:
                    msg = await self._broker.pull(self._stream, consumer, _WAIT_S)
                    if msg is not None:
                        deleted = (msg.headers or {}).get(_OPERATION) == _DELETED
                        revision = int(msg.reply.split(".")[-4])
                        tell(
                            msg.subject, None if deleted else Entry(msg.subject, msg.data, revision)
                        )
            except UnavailableError as error:
                # The consumer lives in the broker's memory: begin again once there is one.
                log.info("keyvalue.following_anew", keys=key_filter, detail=str(error))

    async def _consumer(self, key_filter: str) -> str:
        name = f"follow-{secrets.token_hex(8)}"
        config = {
            "name": name,
            "filter_subject": key_filter,
            "ack_policy": "none",
            "deliver_policy": "new",
            "mem_storage": True,
            "inactive_threshold": 60 * _SECOND,
        }
        await self._broker.api(
            f"CONSUMER.CREATE.{self._stream}.{name}.{key_filter}",
            {"stream_name": self._stream, "config": config},
        )
        return name


def _entry(msg: Msg) -> tuple[Entry, bool]:
    headers = msg.headers or {}
    entry = Entry(headers["Nats-Subject"], msg.data, int(headers["Nats-Sequence"]))
    return entry, headers.get(_OPERATION) == _DELETED
