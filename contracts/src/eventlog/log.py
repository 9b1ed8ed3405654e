"""The append-only log of job events: how events enter it and how one job is read back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.base import make_id
from contracts.envelope import Recorded, from_headers, parse, to_headers
from contracts.events import Event
from contracts.fold import evolve, initial
from contracts.job import JobState
from nats.aio.msg import Msg

from contracts import subjects
from eventlog import tracing
from eventlog.broker import API, Broker
from eventlog.errors import BrokerError, ConflictError, EventLogError
from eventlog.patience import insist

# The job moved on; so does a race of two in a cluster; a batch's id is in the log already.
# Each is also the answer to repeating an append that had succeeded.
_MOVED_ON = (10071, 10164, 10201)
_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_PAGE = 1000


def utc_now() -> datetime:
    """The clock that services hand to what needs one."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How long the log is, and when its stream was made: a new stream is another log."""

    last_sequence: int
    created: datetime


class EventLog:
    """Appends and reads job events on behalf of one service.

    Every method raises UnavailableError when the broker is away, and may then be called again.
    """

    def __init__(
        self,
        broker: Broker,
        source: str,
        now: Callable[[], datetime] = utc_now,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._broker = broker
        self._source = f"/myspinbot/{source}"
        self._now = now
        self._entropy = entropy

    def record(self, job: str, event: Event) -> Recorded:
        """The event in an envelope of its own, with the current trace, not yet appended."""
        now = self._now()
        return Recorded(
            job=job,
            event=event,
            id=make_id(now, self._entropy(10)),
            source=self._source,
            time=now,
            traceparent=tracing.current_traceparent(),
        )

    async def tell(self, job: str, event: Event, patience_s: float = 10.0) -> int:
        """Append a fact, whatever else has happened to the job, and return its sequence.

        The same fact is offered until the broker has it or `patience_s` is over; its id
        makes sure that it enters the log once.
        """
        return await self.offer(self.record(job, event), patience_s)

    async def offer(self, recorded: Recorded, patience_s: float = 10.0) -> int:
        """Append a fact in an envelope that is made already, as `tell` does."""
        return await insist(lambda: self._publish([recorded], None), patience_s)

    async def append(
        self, recorded: Sequence[Recorded], expected: int, patience_s: float = 10.0
    ) -> int:
        """Append decisions about one job atomically, if its last sequence is `expected`.

        Returns the sequence of the last one. Raises ConflictError if the job has moved on.
        An append that had in fact succeeded is recognised by its id.
        """
        return await insist(lambda: self._publish(recorded, expected), patience_s)

    async def _publish(self, recorded: Sequence[Recorded], expected: int | None) -> int:
        job = recorded[0].job
        bodies = [item.event.to_json() for item in recorded]
        for item, body in zip(recorded, bodies, strict=True):
            # What stands in the log and cannot be read would stop all its readers for ever.
            parse(item.type, body)
        batch = secrets.token_hex(8) if len(recorded) > 1 else None
        for number, (item, body) in enumerate(zip(recorded, bodies, strict=True), 1):
            headers = to_headers(item) | {"Nats-Msg-Id": item.id}
            if number == 1 and expected is not None:
                headers[_EXPECT] = str(expected)
                headers[f"{_EXPECT}-Subject"] = subjects.job_events(job)
            if batch:
                headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            subject = subjects.event(job, item.type)
            if number < len(recorded):
                await self._broker.client.publish(subject, body, headers=headers)
                continue
            if batch:
                headers["Nats-Batch-Commit"] = "1"
            reply = await self._broker.publish(subject, body, headers)
        error = reply.get("error")
        if error is None:
            return int(reply["seq"])
        code = int(error.get("err_code", 0))
        if code in _MOVED_ON and expected is not None:
            if (sequence := await self._find(job, recorded[-1].id, expected)) is not None:
                return sequence
            raise ConflictError(job, expected)
        raise BrokerError(f"append to job {job}", code, error.get("description", ""))

    async def _find(self, job: str, event_id: str, after: int) -> int | None:
        async for recorded in self.read_job(job, after):
            if recorded.id == event_id:
                return recorded.sequence
        return None

    async def read_job(self, job: str, after: int = 0) -> AsyncIterator[Recorded]:
        """The events of a job after a sequence, in order."""
        more = True
        while more:
            events, more = await self.read_page(job, after)
            for recorded in events:
                after = recorded.sequence
                yield recorded

    async def read_page(
        self, job: str, after: int = 0, limit: int = _PAGE, most_bytes: int = 0
    ) -> tuple[list[Recorded], bool]:
        """Up to `limit` events of a job after a sequence, in order, and whether there are more.

        A page ends with the event that fills `most_bytes`, if that is not 0.
        """
        query = {"batch": limit, "seq": after + 1, "next_by_subj": subjects.job_events(job)}
        if most_bytes:
            query["max_bytes"] = most_bytes
        events: list[Recorded] = []
        pending = 0
        async for msg in self._broker.many(f"{API}DIRECT.GET.{subjects.JOBS}", query):
            events.append(from_direct(msg))
            pending = int((msg.headers or {}).get("Nats-Num-Pending", 0))
        return events, pending > 0

    async def fold(self, job: str, state: JobState | None = None) -> JobState:
        """The job as it stands now, carried on from `state` if it is given."""
        state = state or initial(job)
        async for recorded in self.read_job(job, state.sequence):
            state = evolve(state, recorded)
        return state

    async def position(self) -> LogPosition:
        """How far the log reaches now."""
        info = await self._broker.api(f"STREAM.INFO.{subjects.JOBS}")
        created = datetime.fromisoformat(info["created"])
        return LogPosition(int(info["state"]["last_seq"]), created)


def from_direct(msg: Msg) -> Recorded:
    """The event in a reply to a direct get."""
    headers = msg.headers or {}
    if "Nats-Sequence" not in headers:
        raise EventLogError("a direct get came without its sequence")
    return from_headers(headers, msg.data, int(headers["Nats-Sequence"]))
