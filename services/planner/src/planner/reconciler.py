"""The planner's shell: reads the log, folds jobs, appends decisions, publishes what follows.

An event is only a nudge that a job moved. The planner keeps the folded state of every job
that has not ended, and the log is its outbox: a command is published when its
`StageScheduled` is read back. So duplicated, late and lost messages are harmless, and a
planner that starts anew reads the log, publishes again what is outstanding, and goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog
from contracts.commands import StageCommand, StopCommand
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState
from eventlog.board import Board
from eventlog.errors import ConflictError, EventLogError
from eventlog.log import EventLog
from eventlog.patience import insist
from eventlog.queue import CommandQueue
from servicekit.failpoints import Failpoint, reached

from contracts import events as e
from contracts import subjects
from planner import metrics, spans
from planner.domain.decide import RUNNER_GRACE_S, World, decide
from planner.domain.effects import command_of, commands, stops
from planner.domain.fleet import Fleet
from planner.domain.memory import Memory
from planner.domain.standing import Standing, standing

log = structlog.get_logger(__name__)

_APPEND_PAUSE = timedelta(seconds=1)


class Reconciler:
    """Brings every job to where its events say that it should be."""

    def __init__(
        self,
        event_log: EventLog,
        queue: CommandQueue,
        control: Board,
        now: Callable[[], datetime],
        *,
        runner_grace_s: float = RUNNER_GRACE_S,
        memory: Memory | None = None,
    ) -> None:
        self._log = event_log
        self._queue = queue
        self._control = control
        self._now = now
        self._grace = runner_grace_s
        self._fleet = Fleet((), now())
        self._memory = memory or Memory()
        self._timers: list[tuple[datetime, str]] = []
        self._wakes: dict[str, datetime] = {}
        self._timer_set = asyncio.Event()
        self._live = False
        self._lock = asyncio.Lock()

    async def read(self, batch: Iterable[Recorded]) -> None:
        """Take in events; once caught up, act on what they change."""
        async with self._lock:
            moved: dict[str, str | None] = {}
            for recorded in batch:
                before = await self._state_before(recorded)
                if recorded.sequence <= before.sequence:
                    continue
                after = self._memory.take(recorded, before)
                moved[recorded.job] = spans.cause_of(recorded) or moved.get(recorded.job)
                if after.status.ended:
                    self._wakes.pop(recorded.job, None)
                if self._live:
                    metrics.note(recorded, after, self._knows)
                    await self._effects(recorded, before, after)
            metrics.ACTIVE.set(len(self._memory.jobs))
            if self._live:
                for job, cause in moved.items():
                    await self._decide(job, cause)

    async def go_live(self) -> None:
        """The log has been read to its end: publish what is outstanding and decide."""
        async with self._lock:
            self._live = True
            log.info(
                "planner.live", active=len(self._memory.jobs), reusable=len(self._memory.reusable)
            )
            await self._publish_outstanding()
            for job in tuple(self._memory.jobs):
                await self._decide(job)

    async def republish(self) -> None:
        """The broker was away and may have lost the queue, which lives in its memory."""
        async with self._lock:
            if self._live:
                await self._publish_outstanding()

    async def fleet_changed(self, fleet: Fleet) -> None:
        """Runners came or went: stages that waited for one may begin."""
        async with self._lock:
            self._fleet = fleet
            if self._live:
                for job in tuple(self._memory.jobs):
                    await self._decide(job)

    async def fail_dead_letter(self, letter: subjects.CommandSubject) -> None:
        """A command that killed every runner that took it is a failed attempt."""
        event = e.StageFailed(
            stage=letter.stage,
            attempt=letter.attempt,
            code=e.RUNNER_LOST,
            cause="every runner that worked on it vanished before it was done",
            remedy="Look at the runners' logs; most often memory was short: try a lower quality",
            retryable=False,
        )
        recorded = self._log.record(letter.job, event)
        await reached(Failpoint.PLANNER_BEFORE_DEAD_LETTER)
        await insist(lambda: self._log.offer(recorded))
        await reached(Failpoint.PLANNER_AFTER_DEAD_LETTER)
        metrics.DEAD_LETTERS.inc()
        log.warning("planner.dead_letter", job=letter.job, stage=letter.stage)

    async def keep_time(self) -> None:
        """Look at jobs again when the time comes that their decision named. Runs for ever."""
        while True:
            self._timer_set.clear()
            delay = (self._timers[0][0] - self._now()).total_seconds() if self._timers else None
            if delay is None or delay > 0:
                try:
                    async with asyncio.timeout(delay):
                        await self._timer_set.wait()
                except TimeoutError:
                    pass
                continue
            async with self._lock:
                at, job = heapq.heappop(self._timers)
                if self._wakes.get(job) == at:
                    del self._wakes[job]
                    await self._decide(job)

    def standing(self) -> Standing:
        """How the work of all jobs stands now. Any thread may ask."""
        return standing(tuple(self._memory.jobs.values()), self._fleet, metrics.KINDS, self._now())

    def _knows(self, kind: str) -> bool:
        return kind in metrics.KINDS or any(self._fleet.engines(kind))

    @property
    def memory(self) -> Memory:
        """What has been read of the log. Between two calls of `read` it is whole."""
        return self._memory

    def _wake(self, job: str, at: datetime) -> None:
        if self._wakes.get(job) != at:
            self._wakes[job] = at
            heapq.heappush(self._timers, (at, job))
            self._timer_set.set()

    async def _state_before(self, recorded: Recorded) -> JobState:
        """The job as it was before an event; one that had ended is read from the log again."""
        if not self._memory.lacks(recorded):
            return self._memory.before(recorded)
        return await insist(lambda: self._read_before(recorded))

    async def _read_before(self, recorded: Recorded) -> JobState:
        state = initial(recorded.job)
        async for earlier in self._log.read_job(recorded.job):
            if earlier.sequence < recorded.sequence:
                state = evolve(state, earlier)
        return state

    async def _effects(self, recorded: Recorded, before: JobState, after: JobState) -> None:
        scheduled = isinstance(recorded.event, e.StageScheduled)
        stage = after.stages.get(getattr(recorded.event, "stage", ""))
        if scheduled and stage and (command := command_of(after, stage)):
            await self._publish(command, recorded.traceparent)
        for stop in stops(before, after):
            await self._stop(stop)

    async def _stop(self, stop: StopCommand) -> None:
        subject = subjects.stop(stop.job, stop.stage, stop.attempt)
        await reached(Failpoint.PLANNER_BEFORE_STOP)
        await insist(lambda: self._control.post(subject, stop.to_json()))
        log.info("planner.stopped", job=stop.job, stage=stop.stage, attempt=stop.attempt)

    async def _publish(self, command: StageCommand, traceparent: str | None) -> None:
        await reached(Failpoint.PLANNER_BEFORE_COMMAND)
        with spans.sending(command, traceparent) as sent_from:
            if await insist(lambda: self._queue.publish(command, sent_from)):
                metrics.COMMANDS.labels(command.kind).inc()
                log.info("planner.commanded", job=command.job, stage=command.stage)
        await reached(Failpoint.PLANNER_AFTER_COMMAND)

    async def _publish_outstanding(self) -> None:
        for state in self._memory.jobs.values():
            for command in commands(state):
                await self._publish(command, state.traceparent)

    async def _parent(self, state: JobState) -> JobState | None:
        """The job that one without a plan branches off from. What it takes over is planned at once.

        Raises EventLogError if the log cannot be read now.
        """
        fork = state.request.forked_from if state.request else None
        if fork is None or state.graph is not None:
            return None
        return await self._log.fold(fork.job)

    async def _decide(self, job: str, cause: str | None = None) -> None:
        state = self._memory.jobs.get(job)
        if state is None:
            return
        try:
            parent = await self._parent(state)
        except EventLogError as error:
            log.warning("planner.parent_unread", job=job, detail=str(error))
            self._wake(job, self._now() + _APPEND_PAUSE)
            return
        world = World(self._now(), self._fleet, self._memory.reusable.find, parent, self._grace)
        began = time.time_ns()
        decision = decide(state, world)
        if decision.wake_at is not None:
            self._wake(job, decision.wake_at)
        if not decision.events:
            return
        with spans.deciding(state, decision.events, began, cause):
            recorded = [self._log.record(job, event) for event in decision.events]
            await reached(Failpoint.PLANNER_BEFORE_APPEND)
            try:
                await self._log.append(recorded, expected=state.sequence)
            except ConflictError:
                # The events that overtook this decision are on their way and will nudge again.
                metrics.CONFLICTS.inc()
                return
            except EventLogError as error:
                log.warning("planner.append_failed", job=job, detail=str(error))
                self._wake(job, self._now() + _APPEND_PAUSE)
                return
            await reached(Failpoint.PLANNER_AFTER_APPEND)
            for event in decision.events:
                metrics.DECISIONS.labels(event.type_name()).inc()
                log.info("planner.decided", job=job, type=event.type_name())
            await spans.tell_reuse(self._log, job, decision.events, began)
        spans.tell_end(state, decision.events, self._now())
