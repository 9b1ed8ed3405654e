"""A log to measure on: jobs that go on side by side, as the services would have told them.

The events are those that `EventLog` would append, envelope and chain included. Only they are sent
one after another without waiting for each, as a million of them would take all day otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from contracts.chain import BEGIN
from contracts.envelope import Recorded, store, to_headers
from eventlog.broker import Broker
from eventlog.log import EventLog

from contracts import events as e
from contracts import subjects
from services.projector.tests.projector_histories import job_id, request, story

AT_ONCE = 20
"""Jobs that are under way at the same time."""
_TOGETHER = 4
"""Events of one job that come after each other."""
_UNACKNOWLEDGED = 500

Story = Callable[[str], Sequence[e.Event]]


@dataclass(slots=True)
class Filled:
    """A log: where it ends, and the jobs in it, oldest first."""

    broker: Broker
    end: int = 0
    jobs: list[str] = field(default_factory=list)

    async def add(self, tell: Story, enough: Callable[[Filled], bool]) -> None:
        """More jobs, all of them to their ends."""
        events = self._events(tell, enough)
        while chunk := list(islice(events, _UNACKNOWLEDGED)):
            for recorded in chunk[:-1]:
                await self.broker.client.publish(*_message(recorded))
            subject, body, _, headers = _message(chunk[-1])
            self.end = int((await self.broker.publish(subject, body, headers))["seq"])

    def _events(self, tell: Story, enough: Callable[[Filled], bool]) -> Iterator[Recorded]:
        log, live = EventLog(self.broker, "bench"), deque[Iterator[Recorded]]()
        while live or not enough(self):
            if len(live) < AT_ONCE and not enough(self):
                self.jobs.append(job_id(len(self.jobs)))
                live.append(_chained(log, self.jobs[-1], tell(self.jobs[-1])))
            going_on = live.popleft()
            if part := list(islice(going_on, _TOGETHER)):
                yield from part
                live.append(going_on)


async def fill(broker: Broker, events: int) -> Filled:
    """A log of about so many events: jobs of some forty events each that go well."""
    filled = Filled(broker)
    await filled.add(lambda job: story(job, checkpoints=3), lambda known: known.end >= events)
    return filled


async def add_jobs(filled: Filled, jobs: int) -> None:
    """More jobs, which were soon cancelled, until the log has so many of them."""
    soon = [request(), e.JobCancelRequested(by="me"), e.JobCancelled()]
    await filled.add(lambda _: soon, lambda known: len(known.jobs) >= jobs)


def _chained(log: EventLog, job: str, events: Iterable[e.Event]) -> Iterator[Recorded]:
    chain = BEGIN
    for event in events:
        recorded = log.record(job, event)
        chain = store(recorded).linked(chain)
        yield recorded._replace(chain=chain)


def _message(recorded: Recorded) -> tuple[str, bytes, str, dict[str, str]]:
    """Subject, body, no reply, headers."""
    headers = {**to_headers(recorded), "Nats-Msg-Id": recorded.id}
    subject = subjects.event(recorded.job, recorded.type)
    return subject, recorded.event.to_json(), "", headers
