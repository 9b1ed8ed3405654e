"""What waits for runners, of all owners, and what stands before each stage that waits.

The projector tells what waits and runs; from there on the log's tail does. An owner is only
told how many stages are before theirs, never whose.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from contracts.commands import Lane
from contracts.envelope import Recorded
from contracts.queries import ListQueue, Queue
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import utc_now
from eventlog.rpc import ask

from contracts import events as e
from gateway.installation.outlook import Outlook
from gateway.live import LiveJobs, Wait

log = structlog.get_logger(__name__)

_PAUSE_S = 0.1
_RETRY_S = 1.0
_REFRESH_S = 10.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """An attempt that waits for a runner, or runs. `since` is when it began to do so."""

    job: str
    stage: str
    attempt: int
    kind: str
    lane: Lane
    since: datetime
    running: bool = False


Attempts = dict[tuple[str, str], Waiting]
"""By job and stage, in the order in which they were scheduled."""


def follow(attempts: Attempts, recorded: Recorded) -> bool:
    """Bring the queue up to date with an event; whether that changed it."""
    event, job = recorded.event, recorded.job
    match event:
        case e.StageScheduled():
            key = (job, event.stage)
            attempts.pop(key, None)
            attempts[key] = Waiting(
                job, event.stage, event.attempt, event.kind, event.lane, recorded.time
            )
            return True
        case e.StageStarted() if _current(attempts, job, event.stage, event.attempt):
            key = (job, event.stage)
            attempts[key] = replace(attempts[key], since=recorded.time, running=True)
            return True
        case e.StageCompleted() | e.StageFailed() if _current(
            attempts, job, event.stage, event.attempt
        ):
            del attempts[job, event.stage]
            return True
        case e.JobCompleted() | e.JobFailed() | e.JobCancelled():
            gone = [key for key in attempts if key[0] == job]
            for key in gone:
                del attempts[key]
            return bool(gone)
    return False


def _current(attempts: Attempts, job: str, stage: str, attempt: int) -> bool:
    waiting = attempts.get((job, stage))
    return waiting is not None and waiting.attempt == attempt


def waits(
    attempts: Iterable[Waiting],
    expected_s: Callable[[str], float],
    places: Mapping[Lane, int],
    now: datetime,
) -> dict[str, dict[str, Wait]]:
    """By job and stage what stands before each attempt that waits.

    Its position is among those of its kind and lane, which are taken in order; its delay is
    until all that was scheduled earlier for the same lane has found a place there.
    """
    free: defaultdict[Lane, list[float]] = defaultdict(list)
    queued = sorted(attempts, key=lambda one: (not one.running, one.since))
    for one in queued:
        if one.running:
            left = expected_s(one.kind) - (now - one.since).total_seconds()
            heapq.heappush(free[one.lane], max(left, 0.0))
    positions: Counter[tuple[str, Lane]] = Counter()
    found: defaultdict[str, dict[str, Wait]] = defaultdict(dict)
    for one in queued:
        if one.running:
            continue
        positions[one.kind, one.lane] += 1
        busy = free[one.lane]
        delay = heapq.heappop(busy) if len(busy) >= places.get(one.lane, 1) else 0.0
        heapq.heappush(busy, delay + expected_s(one.kind))
        found[one.job][one.stage] = Wait(positions[one.kind, one.lane], delay)
    return dict(found)


class LiveQueue:
    """The queue as it is now. Hand `passed` every event of the log, and let `run` run."""

    def __init__(self, broker: Broker, live: LiveJobs, outlook: Outlook) -> None:
        self._broker = broker
        self._live = live
        self._outlook = outlook
        self._attempts: Attempts = {}
        self._early: list[Recorded] | None = []
        """Events that passed by before the projector's answer was there."""
        self._changed = asyncio.Event()

    def passed(self, recorded: Recorded) -> None:
        """An event, in the order of the log."""
        if self._early is not None:
            self._early.append(recorded)
        elif follow(self._attempts, recorded):
            self._changed.set()

    def counts(self) -> tuple[int, int]:
        """How many attempts wait, and how many run."""
        running = sum(1 for one in self._attempts.values() if one.running)
        return len(self._attempts) - running, running

    async def run(self) -> None:
        """Tell the jobs in the table what stands before them, for ever."""
        await self._begin()
        while True:
            self._changed.clear()
            places = self._outlook.machine().places
            self._live.queue(waits(self._attempts.values(), self._outlook.kind, places, utc_now()))
            # What changes together is told together.
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                # What runs comes nearer to its end although nothing happens.
                async with asyncio.timeout(_REFRESH_S):
                    await self._changed.wait()

    async def _begin(self) -> None:
        while True:
            seen = self._live.position
            self._early = [one for one in self._early or () if one.sequence > seen]
            query = ListQueue(owner="gateway", min_position=seen)
            try:
                queue, position = await ask(self._broker, query, Queue)
                break
            except EventLogError as error:
                log.info("queue.waiting", detail=str(error))
                await asyncio.sleep(_RETRY_S)
        for one in queue.attempts:
            self._attempts[one.job, one.stage] = Waiting(
                one.job,
                one.stage,
                one.attempt,
                one.kind,
                one.lane,
                one.scheduled_at,
                running=one.running,
            )
        for recorded in self._early or ():
            if recorded.sequence > position:
                follow(self._attempts, recorded)
        self._early = None
