"""Makes and reads the signed checkpoints of the log.

The notary goes on from the last checkpoint's hash if it has signed that itself, so it reads only
what is new. It has the role `notary`, which alone may write checkpoints, and writes nothing else.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from contracts.base import make_id
from contracts.checkpoints import LogCheckpoint, LogHash
from pydantic import ValidationError

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.errors import BrokerError, EventLogError, GapError
from eventlog.log import utc_now
from eventlog.signatures import Signer, is_signed
from eventlog.span import Extent, extent, read_span

_PAGE = 500
_MOVED_ON = (10071, 10164)
_EXPECT = "Nats-Expected-Last-Subject-Sequence"


class UnreadableCheckpointError(EventLogError):
    """What stands among the checkpoints is none."""


def parse_checkpoint(data: bytes | str) -> LogCheckpoint:
    """A checkpoint; UnreadableCheckpointError if it is none, or of a newer version."""
    try:
        return LogCheckpoint.model_validate_json(data)
    except ValidationError as error:
        raise UnreadableCheckpointError(
            f"this is no checkpoint that this program knows: {error.errors()[0]['msg']}; it stays, "
            "and nothing is signed after it until the version that wrote it runs again"
        ) from error


def is_genuine(checkpoint: LogCheckpoint) -> bool:
    """Whether it was signed by the key that it names."""
    return checkpoint.signature is not None and is_signed(
        checkpoint.signed_content(), checkpoint.signature, checkpoint.key_id
    )


async def read_checkpoints(broker: Broker) -> AsyncIterator[LogCheckpoint]:
    """All checkpoints, oldest first. Raises UnreadableCheckpointError."""
    after, more = 0, True
    while more:
        more = False
        query = {"batch": _PAGE, "seq": after + 1, "next_by_subj": subjects.LOG_CHECKPOINTS}
        async for msg in broker.many(f"{API}DIRECT.GET.{subjects.CHECKPOINTS}", query):
            headers = msg.headers or {}
            after = int(headers["Nats-Sequence"])
            more = int(headers.get("Nats-Num-Pending", 0)) > 0
            yield parse_checkpoint(msg.data)


class Notary:
    """Signs what the log is. Every method raises EventLogError if the broker is away."""

    def __init__(
        self,
        broker: Broker,
        signer: Signer,
        now: Callable[[], datetime] = utc_now,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._broker = broker
        self._signer = signer
        self._now = now
        self._entropy = entropy

    async def sign(self, told: Callable[[int, int], None] | None = None) -> LogCheckpoint | None:
        """A checkpoint of the log as it is now; None if there is nothing new since the last one.

        `told` hears how many events of how many are read. Raises GapError if events are missing:
        what is not whole is not signed. If another notary was quicker, nothing is written.
        """
        last, place = await self._last()
        reach = await extent(self._broker)
        if reach.end != reach.last:
            raise GapError(reach.end + 1, reach.last + 1)
        known = self._known(last, reach)
        if reach.end == known.sequence:
            return None
        async for batch in read_span(self._broker, known.sequence, reach.end):
            for stored in batch:
                if stored.sequence != known.sequence + 1:
                    raise GapError(known.sequence + 1, stored.sequence)
                known.add(stored)
            if told is not None:
                told(known.sequence, reach.end)
        checkpoint = self._signed(last, reach, known)
        return checkpoint if await self._publish(checkpoint, place) else None

    async def _last(self) -> tuple[LogCheckpoint | None, int]:
        """The newest checkpoint, and where it stands."""
        body = json.dumps({"last_by_subj": subjects.LOG_CHECKPOINTS}).encode()
        msg = await self._broker.request(f"{API}DIRECT.GET.{subjects.CHECKPOINTS}", body)
        headers = msg.headers or {}
        if headers.get("Status") == "404":
            return None, 0
        return parse_checkpoint(msg.data), int(headers["Nats-Sequence"])

    def _known(self, last: LogCheckpoint | None, reach: Extent) -> LogHash:
        """The hash to go on from: that of the last checkpoint, if it is ours and about this log."""
        if (
            last is None
            or last.stream_created != reach.created
            or last.last_sequence > reach.end
            or last.key_id != self._signer.public_key
            or not is_genuine(last)
        ):
            return LogHash()
        return LogHash(last.log_hash, last.last_sequence)

    def _signed(self, last: LogCheckpoint | None, reach: Extent, known: LogHash) -> LogCheckpoint:
        now = self._now()
        checkpoint = LogCheckpoint(
            id=make_id(now, self._entropy(10)),
            stream_created=reach.created,
            last_sequence=known.sequence,
            log_hash=known.value,
            time=now,
            previous=last.id if last is not None else None,
            key_id=self._signer.public_key,
        )
        signature = self._signer.sign(checkpoint.signed_content())
        return checkpoint.model_copy(update={"signature": signature})

    async def _publish(self, checkpoint: LogCheckpoint, after: int) -> bool:
        headers = {"Nats-Msg-Id": checkpoint.id, _EXPECT: str(after)}
        reply = await self._broker.publish(subjects.LOG_CHECKPOINTS, checkpoint.to_json(), headers)
        error = reply.get("error")
        if error is None:
            return True
        code = int(error.get("err_code", 0))
        if code in _MOVED_ON:
            return False
        raise BrokerError("sign a checkpoint", code, error.get("description", ""))
