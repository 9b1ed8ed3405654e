"""Takes commands off the queue, one at a time for each lane of this runner."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from contracts.commands import Lane, StageCommand
from contracts.job import JobState
from contracts.upcasting import UnknownEventError
from eventlog import tracing
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError
from eventlog.patience import insist
from eventlog.queue import HEARTBEAT_S, MAX_DELIVERIES, CommandQueue, Delivery
from pydantic import ValidationError

from contracts import events as e
from gpu_runner import metrics, spans
from gpu_runner.attempt import Attempt
from gpu_runner.bench import Bench
from gpu_runner.catalogue import Engine
from gpu_runner.waiting import first_of

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 2.0
_HINT_WAIT_S = 1.0
_CATCH_UP_S = 20.0
_SETTLE_S = 5.0


@dataclass(slots=True)
class InHand:
    """The attempts that this runner is working on now, of all its lanes."""

    attempts: dict[tuple[str, str, int], Attempt] = field(default_factory=dict)
    leaving: bool = False
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def settled(self, key: tuple[str, str, int]) -> None:
        """The command of an attempt is off our hands."""
        del self.attempts[key]
        if not self.attempts:
            self._settled.set()

    async def leave(self, finish_s: float, checkpoint_s: float) -> None:
        """Take nothing new, and end what is in hand; see `Attempt.leave`."""
        self.leaving = True
        self._settled.clear()
        attempts = tuple(self.attempts.values())
        log.info("runner.leaving", in_hand=len(attempts))
        await asyncio.gather(*(attempt.leave(finish_s, checkpoint_s) for attempt in attempts))
        if self.attempts:
            await first_of(self._settled, within_s=_SETTLE_S)

    def share(self) -> int:
        """The threads of one attempt, when the processors are shared by all that run now."""
        return max(1, (os.cpu_count() or 1) // max(1, len(self.attempts)))

    def silences(self) -> Iterator[metrics.Silence]:
        """For how long each attempt has said nothing. Any thread may ask."""
        for attempt in tuple(self.attempts.values()):
            command = attempt.command
            yield metrics.Silence(command.kind, command.engine, attempt.silent_s)

    async def stop(self, job: str, stage: str, attempt: int) -> None:
        """End an attempt that nobody wants any more."""
        if running := self.attempts.get((job, stage, attempt)):
            await running.stop()


@dataclass(slots=True)
class LaneWorker:
    """Works off the commands of one lane on one device. Make several for several devices."""

    broker: Broker
    bench: Bench
    lane: Lane
    device: str
    engines: Mapping[tuple[str, str], Engine]
    in_hand: InHand
    busy_changed: Callable[[], Awaitable[None]]
    _hints: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(maxsize=64))

    async def work(self) -> None:
        """Take and do commands until the runner leaves."""
        metrics.SLOTS.labels(self.lane).inc()
        metrics.BUSY.labels(self.lane).inc(0)
        queue = CommandQueue(self.broker)
        kinds = sorted({e.kind for e in self.engines.values() if e.lane is self.lane})
        consumers = await self._open(queue, kinds)
        await queue.hints(self.lane, self._hinted)
        while not self.in_hand.leaving:
            try:
                delivery = await self._next(queue, consumers)
                if delivery is not None:
                    await self._take(delivery)
            except EventLogError as error:
                log.warning("runner.waiting", lane=self.lane, detail=str(error))
                await asyncio.sleep(1.0)
                consumers = await self._open(queue, kinds)

    async def _open(self, queue: CommandQueue, kinds: Sequence[str]) -> dict[str, str]:
        async def open_all() -> dict[str, str]:
            return {kind: await queue.open(kind, self.lane) for kind in kinds}

        return await insist(open_all)

    def _hinted(self, kind: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._hints.put_nowait(kind)

    async def _next(self, queue: CommandQueue, consumers: dict[str, str]) -> Delivery | None:
        for kind, consumer in tuple(consumers.items()):
            if delivery := await queue.pull(consumer):
                # Its next turn comes after all others', so that no kind waits for ever.
                consumers[kind] = consumers.pop(kind)
                return delivery
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S):
                kind = await self._hints.get()
        except TimeoutError:
            return None
        if kind not in consumers:
            return None
        return await queue.pull(consumers[kind], wait_s=_HINT_WAIT_S)

    async def _take(self, delivery: Delivery) -> None:
        if self.in_hand.leaving:
            await delivery.later(0.0)
            return
        try:
            command = StageCommand.model_validate_json(delivery.body)
        except ValidationError as error:
            await self._refuse(delivery, "invalid-command", f"it cannot be read: {error}")
            return
        engine = self.engines.get((command.kind, command.engine))
        if engine is None:
            # Another runner of this kind may have it.
            await delivery.later(5.0)
            return
        key = (command.job, command.stage, command.attempt)
        if key in self.in_hand.attempts:
            await delivery.later(HEARTBEAT_S)
            return
        attempt = Attempt(
            self.bench, command, engine, self.device, delivery.number, self.in_hand.share
        )
        self.in_hand.attempts[key] = attempt
        spans.waited(command, delivery)
        structlog.contextvars.bind_contextvars(job=command.job, stage=command.stage)
        metrics.BUSY.labels(self.lane).inc()
        try:
            await self.busy_changed()
            with (
                tracing.continued(
                    f"stage {command.kind}",
                    delivery.traceparent,
                    attributes=spans.processing(command, delivery),
                ),
                metrics.working(command.kind, command.engine),
            ):
                await self._do(delivery, attempt)
        finally:
            self.in_hand.settled(key)
            metrics.BUSY.labels(self.lane).dec()
            structlog.contextvars.unbind_contextvars("job", "stage")
            await self.busy_changed()

    async def _do(self, delivery: Delivery, attempt: Attempt) -> None:
        command = attempt.command
        try:
            state = await insist(lambda: self._state(command), _CATCH_UP_S)
        except UnknownEventError as error:
            await self._pass_on(delivery, error)
            return
        if not state.wants(command.stage, command.attempt):
            await insist(delivery.done)
            return
        heartbeat = asyncio.create_task(self._heartbeat(delivery, attempt, state))
        await spans.link_former(self.bench.log, command, delivery)
        try:
            ended = await attempt.run(state)
        except asyncio.CancelledError:
            # The runner is told to stop: somebody else may have the stage at once.
            await delivery.later(0.0)
            raise
        finally:
            heartbeat.cancel()
        if not ended:
            await delivery.later(0.0)
            return
        with contextlib.suppress(EventLogError):
            # If it is not confirmed, it is delivered again, and the log says that it is done.
            await delivery.done()

    async def _state(self, command: StageCommand) -> JobState:
        """The job as it stands; UnavailableError if a replica that lags behind has answered."""
        state = await self.bench.log.fold(command.job)
        if not state.knows(command.stage, command.attempt):
            raise UnavailableError(f"job {command.job} up to attempt {command.attempt}")
        return state

    async def _pass_on(self, delivery: Delivery, error: UnknownEventError) -> None:
        """A newer program has written into the job: a newer runner may understand it."""
        log.error("worker.history_unread", delivery=delivery.number, detail=str(error))
        if delivery.number < MAX_DELIVERIES:
            await delivery.later(HEARTBEAT_S)
        else:
            await self._refuse(delivery, "unknown-event", str(error))

    async def _heartbeat(self, delivery: Delivery, attempt: Attempt, state: JobState) -> None:
        """Keep the command, and stop once the log says that nobody wants the result any more.

        The planner says so too, and sooner; but that word is lost if we are cut off when it comes,
        or if the planner dies before it gives it.
        """
        command = attempt.command
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with contextlib.suppress(EventLogError):
                await delivery.working()
            # What a newer program has told is no reason to stop.
            with contextlib.suppress(EventLogError, UnknownEventError):
                state = await self.bench.log.fold(command.job, state)
            if not state.wants(command.stage, command.attempt):
                await attempt.stop()

    async def _refuse(self, delivery: Delivery, code: str, cause: str) -> None:
        event = e.StageFailed(
            stage=delivery.subject.stage,
            attempt=delivery.subject.attempt,
            code=code,
            cause=f"the command cannot be carried out: {cause}",
            remedy="Run the same version of planner and runners, then retry the job",
            retryable=False,
            runner=self.bench.runner,
        )
        await self.bench.log.tell(delivery.subject.job, event)
        await delivery.hopeless(code)
