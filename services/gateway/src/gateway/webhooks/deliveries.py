"""Deliveries: what is known of each, and the queue of those that are due.

The record of a delivery is the truth; the queue holds only pointers to records. A record is
written before its pointer, and both may be written again without harm, so a delivery is
neither forgotten nor doubled by a gateway that dies in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from contracts.base import Contract, Id, Timestamp
from eventlog.broker import Broker
from eventlog.errors import BrokerError
from eventlog.keyvalue import KeyValue, RevisionError
from pydantic import Field

from contracts import subjects


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryRecord(Contract):
    """What is known of a delivery. `round` changes when somebody asks for it once more."""

    delivery_id: Id
    webhook_id: Id
    owner: Id
    event: str
    job: Id | None = None
    sequence: int | None = None
    body: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    next_at: Timestamp | None = None
    at: Timestamp
    round: str = Field(default="", max_length=64)

    @property
    def key(self) -> str:
        """Where it is kept."""
        return subjects.delivered(self.owner, self.webhook_id, self.delivery_id)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record, and the revision that may be replaced."""

    record: DeliveryRecord
    revision: int


class Deliveries:
    """All deliveries. Every method raises EventLogError when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._records = KeyValue(broker, subjects.DELIVERED)

    async def make(self, record: DeliveryRecord) -> DeliveryRecord:
        """Let a delivery be made, and return what is known of it. Once, however often called."""
        try:
            await self._records.create(record.key, record.to_json())
        except RevisionError:
            kept = await self.get(record.owner, record.webhook_id, record.delivery_id)
            record = kept.record if kept else record
        if record.state is DeliveryState.PENDING:
            await self._queue(record)
        return record

    async def again(self, kept: Kept, round_id: str) -> DeliveryRecord:
        """Let a delivery be made once more, with all its tries. Once for each `round_id`."""
        record = kept.record
        if record.round != round_id:
            record = record.model_copy(
                update={
                    "state": DeliveryState.PENDING,
                    "attempts": 0,
                    "next_at": None,
                    "round": round_id,
                }
            )
            await self.put(record, kept.revision)
        if record.state is DeliveryState.PENDING:
            await self._queue(record)
        return record

    async def get(self, owner: str, hook: str, delivery: str) -> Kept | None:
        """What is known of a delivery, or None if there is none, or not any more."""
        entry = await self._records.get(subjects.delivered(owner, hook, delivery))
        if entry is None:
            return None
        return Kept(entry.read(DeliveryRecord), entry.revision)

    async def of(self, owner: str, hook: str) -> AsyncIterator[DeliveryRecord]:
        """All that is known of the deliveries of a webhook, in the order of their last change."""
        async for entry in self._records.all(subjects.delivered(owner, hook, "*")):
            yield entry.read(DeliveryRecord)

    async def put(self, record: DeliveryRecord, revision: int) -> None:
        """Replace a record; RevisionError if somebody else has."""
        await self._records.put(record.key, record.to_json(), revision)

    async def _queue(self, record: DeliveryRecord) -> None:
        subject = subjects.delivery(record.owner, record.webhook_id, record.delivery_id)
        headers = {"Nats-Msg-Id": f"{record.delivery_id}.{record.round}"}
        reply = await self._broker.publish(subject, b"", headers)
        if error := reply.get("error"):
            raise BrokerError(subject, int(error.get("err_code", 0)), error.get("description", ""))


def delivery_id(hook: str, *cause: str) -> str:
    """The id of the delivery that a cause makes at a webhook: always the same."""
    return "d" + hashlib.sha256("\0".join((hook, *cause)).encode()).hexdigest()[:31]
