"""The append-only log of job events: how events enter it and how one job is read back."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from contracts.base import make_id
from contracts.chain import BEGIN
from contracts.envelope import Recorded, Stored, store
from contracts.events import Event
from contracts.fold import evolve, initial
from contracts.job import JobState
from nats.aio.msg import Msg
from opentelemetry.trace import Span, SpanKind

from contracts import subjects
from eventlog import metrics, tracing
from eventlog.broker import API, Broker
from eventlog.errors import BrokerError, ConflictError, EventLogError, UnavailableError
from eventlog.patience import insist

# The job moved on; so does a race of two in a cluster; a batch's id is in the log already.
# Each is also the answer to repeating an append that had succeeded.
_MOVED_ON = (10071, 10164, 10201)
_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_PAGE = 1000
_KEPT_ENDS = 1024


def utc_now() -> datetime:
    """The clock that services hand to what needs one."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How long the log is, and when its stream was made: a new stream is another log."""

    last_sequence: int
    created: datetime


@dataclass(frozen=True, slots=True)
class _End:
    """The last event of a job: where it stands, and what the next one is chained to."""

    sequence: int = 0
    chain: str = BEGIN


class EventLog:
    """Appends and reads job events on behalf of one service.

    Each event is chained to the one before it in its job, so even a fact that holds whatever
    else happened is appended after the event that its writer knows to be the last.
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
        self._ends: OrderedDict[str, _End] = OrderedDict()

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

        async def attempt() -> int:
            while True:
                end = self._ends.get(recorded.job) or await self._read_end(recorded.job)
                try:
                    return await self._publish([recorded], end)
                except ConflictError:
                    # Another event came first, which makes a fact no less true.
                    self._ends.pop(recorded.job, None)

        return await insist(attempt, patience_s)

    async def append(
        self, recorded: Sequence[Recorded], expected: int, patience_s: float = 10.0
    ) -> int:
        """Append decisions about one job atomically, if its last sequence is `expected`.

        Returns the sequence of the last one. Raises ConflictError if the job has moved on.
        An append that had in fact succeeded is recognised by its id.
        """
        job = recorded[0].job

        async def attempt() -> int:
            return await self._publish(recorded, await self._end_at(job, expected, recorded))

        return await insist(attempt, patience_s)

    async def copy(self, stored: Sequence[Stored], expected: int) -> int:
        """Append events of one job as they were written elsewhere: ids, times and chain kept.

        They enter together or not at all, after the job's event at `expected`; ConflictError if
        that is not its last one. Returns the sequence of the last one. At most 1,000 at once.
        """
        with metrics.appending():
            sequence, _ = await self._send(stored, expected)
        return sequence

    async def _end_at(self, job: str, expected: int, recorded: Sequence[Recorded]) -> _End:
        """The job's end, which must be at `expected` unless we have appended there already."""
        if expected == 0:
            return _End()
        known = self._ends.get(job)
        if known is not None and known.sequence == expected:
            return known
        found = await self._read_end(job)
        if found.sequence < expected:
            # A replica of the stream that lags behind has answered.
            raise UnavailableError(f"job {job} up to event {expected}")
        if found.sequence == expected:
            return found
        before = None
        async for stored in self.read_stored(job, expected - 1):
            if stored.sequence == expected:
                before = _End(expected, stored.chain or BEGIN)
            elif stored.id == recorded[0].id and before is not None:
                # Repeated: the broker will say so, and `_publish` find it.
                return before
        raise ConflictError(job, expected)

    async def _read_end(self, job: str) -> _End:
        stored = await self.last(subjects.job_events(job))
        return _End(stored.sequence, stored.chain or BEGIN) if stored else _End()

    async def _publish(self, recorded: Sequence[Recorded], end: _End) -> int:
        chain, chained = end.chain, []
        for item in recorded:
            stored = store(item)
            chain = stored.linked(chain)
            chained.append(replace(stored, headers={**stored.headers, "ce-chain": chain}))
        with self._traced(recorded), metrics.appending():
            sequence, anew = await self._send(chained, end.sequence)
        if anew:
            self._remember(recorded[0].job, _End(sequence, chain))
        else:
            self._ends.pop(recorded[0].job, None)
        return sequence

    def _traced(self, recorded: Sequence[Recorded]) -> AbstractContextManager[Span]:
        attributes = tracing.messaging(
            tracing.SEND, subjects.JOBS, message=recorded[0].id, count=len(recorded)
        )
        attributes[tracing.JOB] = recorded[0].job
        attributes["myspinbot.event.types"] = ",".join(one.type for one in recorded)
        return tracing.within(
            f"send {subjects.JOBS}", SpanKind.PRODUCER, attributes, expected=(ConflictError,)
        )

    def _remember(self, job: str, end: _End) -> None:
        self._ends[job] = end
        self._ends.move_to_end(job)
        while len(self._ends) > _KEPT_ENDS:
            self._ends.popitem(last=False)

    async def _send(self, stored: Sequence[Stored], expected: int) -> tuple[int, bool]:
        """Append events together; the sequence of the last, and whether they were new."""
        job = stored[0].job
        for item in stored:
            # What stands in the log and cannot be read would stop all its readers for ever.
            item.recorded()
        batch = secrets.token_hex(8) if len(stored) > 1 else None
        for number, item in enumerate(stored, 1):
            headers = {**item.headers, "content-type": "application/json", "Nats-Msg-Id": item.id}
            if number == 1:
                headers[_EXPECT] = str(expected)
                headers[f"{_EXPECT}-Subject"] = subjects.job_events(job)
            if batch:
                headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            subject = subjects.event(job, item.type)
            if number < len(stored):
                await self._broker.send(subject, item.body, headers)
                continue
            if batch:
                headers["Nats-Batch-Commit"] = "1"
            reply = await self._broker.publish(subject, item.body, headers)
        error = reply.get("error")
        if error is None:
            return int(reply["seq"]), not reply.get("duplicate", False)
        code = int(error.get("err_code", 0))
        if code in _MOVED_ON:
            if (sequence := await self._find(job, stored[-1].id, expected)) is not None:
                return sequence, False
            raise ConflictError(job, expected)
        raise BrokerError(f"append to job {job}", code, error.get("description", ""))

    async def _find(self, job: str, event_id: str, after: int) -> int | None:
        async for stored in self.read_stored(job, after):
            if stored.id == event_id:
                return stored.sequence
        return None

    async def read_job(self, job: str, after: int = 0) -> AsyncIterator[Recorded]:
        """The events of a job after a sequence, in order."""
        async for stored in self.read_stored(job, after):
            yield stored.recorded()

    async def read_stored(self, job: str, after: int = 0) -> AsyncIterator[Stored]:
        """The events of a job after a sequence as they were written, in order."""
        more = True
        while more:
            events, more = await self._read_page(job, after, _PAGE, 0)
            for stored in events:
                after = stored.sequence
                yield stored

    async def read_page(
        self, job: str, after: int = 0, limit: int = _PAGE, most_bytes: int = 0
    ) -> tuple[list[Recorded], bool]:
        """Up to `limit` events of a job after a sequence, in order, and whether there are more.

        A page ends with the event that fills `most_bytes`, if that is not 0.
        """
        events, more = await self._read_page(job, after, limit, most_bytes)
        return [stored.recorded() for stored in events], more

    async def _read_page(
        self, job: str, after: int, limit: int, most_bytes: int
    ) -> tuple[list[Stored], bool]:
        query = {"batch": limit, "seq": after + 1, "next_by_subj": subjects.job_events(job)}
        if most_bytes:
            query["max_bytes"] = most_bytes
        events: list[Stored] = []
        pending = 0
        async for msg in self._broker.many(f"{API}DIRECT.GET.{subjects.JOBS}", query):
            events.append(stored_from_direct(msg))
            pending = int((msg.headers or {}).get("Nats-Num-Pending", 0))
        return events, pending > 0

    async def fold(self, job: str, state: JobState | None = None) -> JobState:
        """The job as it stands now, carried on from `state` if it is given."""
        state = state or initial(job)
        last: Stored | None = None
        async for stored in self.read_stored(job, state.sequence):
            state, last = evolve(state, stored.recorded()), stored
        known = self._ends.get(job, _End())
        if last is not None and last.sequence > known.sequence:
            # Who has read a job most often appends to it next.
            self._remember(job, _End(last.sequence, last.chain or BEGIN))
        return state

    async def last(self, subject: str) -> Stored | None:
        """The newest event of a subject, which may have wildcards; None if there is none."""
        body = json.dumps({"last_by_subj": subject}).encode()
        msg = await self._broker.request(f"{API}DIRECT.GET.{subjects.JOBS}", body)
        if (msg.headers or {}).get("Status") == "404":
            return None
        return stored_from_direct(msg)

    async def read_at(self, sequence: int) -> Stored | None:
        """The event at a sequence as it was written; None if there is none."""
        body = json.dumps({"seq": sequence}).encode()
        msg = await self._broker.request(f"{API}DIRECT.GET.{subjects.JOBS}", body)
        if (msg.headers or {}).get("Status") == "404":
            return None
        return stored_from_direct(msg)

    async def position(self) -> LogPosition:
        """How far the log reaches now."""
        info = await self._broker.api(f"STREAM.INFO.{subjects.JOBS}")
        created = datetime.fromisoformat(info["created"])
        return LogPosition(int(info["state"]["last_seq"]), created)


def stored_from_direct(msg: Msg) -> Stored:
    """The event in a reply to a direct get, as it was written."""
    headers = msg.headers or {}
    if "Nats-Sequence" not in headers:
        raise EventLogError("a direct get came without its sequence")
    return stored_event(
        headers, msg.data, int(headers["Nats-Sequence"]), headers.get("Nats-Subject")
    )


def stored_event(
    headers: Mapping[str, str], body: bytes, sequence: int, subject: str | None = None
) -> Stored:
    """An event of the log without what the broker has added to its headers."""
    own = {
        name: value
        for name, value in headers.items()
        if name.startswith("ce-") or name == "traceparent"
    }
    return Stored(own, body, sequence, subject)
