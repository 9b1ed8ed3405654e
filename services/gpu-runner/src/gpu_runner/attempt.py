"""One attempt at one stage, from the command to the event that tells how it ended.

What is told comes before what is acknowledged: a runner that dies in between is asked
again, looks at the log first, and finds that nothing is left to do.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from contracts.commands import StageCommand
from contracts.job import Checkpoint, JobState
from contracts.provenance import Generation
from contracts.stagelog import Level
from eventlog import tracing
from eventlog.log import utc_now
from opentelemetry import trace
from servicekit.failpoints import Failpoint, reached
from servicekit.objects import MissingObjectError, ObjectStoreError

from contracts import events as e
from gpu_runner import failures, metrics, protocol, spans
from gpu_runner.bench import Bench
from gpu_runner.catalogue import Engine
from gpu_runner.credentials import Signing
from gpu_runner.lines import LineWriter
from gpu_runner.outage import until_store_answers
from gpu_runner.process import Child
from gpu_runner.progress import ProgressWriter
from gpu_runner.transfer import Transfer
from gpu_runner.waiting import first_of

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_TELL_PATIENCE_S = 600.0


@dataclass(slots=True)
class Attempt:
    """A running attempt. `stop` ends it early, without any event."""

    bench: Bench
    command: StageCommand
    engine: Engine
    device: str
    delivery: int
    threads: Callable[[], int]
    _process: Child | None = None
    _stopped: bool = False
    _leaving: bool = False
    _kept: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _uploads: asyncio.Lock = field(default_factory=asyncio.Lock)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _lines: LineWriter = field(init=False)
    _heard_at: float = field(init=False)
    _progress: ProgressWriter = field(init=False)

    def __post_init__(self) -> None:
        self._heard_at = self.bench.clock()
        self._lines = LineWriter(self.bench.lines, self.command, self.bench.clock)
        self._progress = ProgressWriter(self.bench.progress, self.command, self.bench.clock)

    @property
    def silent_s(self) -> float:
        """For how many seconds nothing was heard of the stage's process."""
        return self.bench.clock() - self._heard_at

    async def stop(self) -> None:
        """Nobody wants the result any more."""
        self._stopped = True
        if self._process is not None:
            await self._process.kill()

    async def leave(self, finish_s: float, checkpoint_s: float) -> None:
        """The runner is about to stop: end within `finish_s`, or let another runner go on.

        An attempt that will not be done by then is asked for a checkpoint, for which there
        are `checkpoint_s`, and ended.
        """
        if await self._ends_within(finish_s):
            return
        self._leaving = True
        if self._process is not None:
            if self.engine.checkpoints:
                self._process.ask_checkpoint()
                await first_of(self._kept, self._ended, within_s=checkpoint_s)
            await self._process.kill()
        # It may have been done in this very moment: what it made is then stored and told.
        await first_of(self._ended, within_s=checkpoint_s)

    async def _ends_within(self, finish_s: float) -> bool:
        deadline = self.bench.clock() + finish_s
        while (left := deadline - self.bench.clock()) > 0:
            eta_s = self._progress.eta_s
            if eta_s is not None and eta_s > left:
                break
            if await first_of(self._ended, within_s=min(left, _LOOK_EVERY_S)):
                break
        return self._ended.is_set()

    async def run(self, state: JobState) -> bool:
        """Do the stage and tell the log how it ended. `state` is the job as it stands.

        Returns False if it did not end: another runner is to go on with it.
        """
        try:
            return await self._run(state)
        finally:
            self._progress.finish()
            self._ended.set()

    async def _run(self, state: JobState) -> bool:
        command = self.command
        folder = self.bench.scratch / f"{command.job}.{command.stage}.{command.attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        begun = self.bench.clock()
        stage = state.stages[command.stage]
        await self._progress.begin(stage.fraction, first=self.delivery * command.attempt == 1)
        try:
            await self._started(stage.checkpoint)
            await reached(Failpoint.RUNNER_STARTED)
            ending = await self._perform(folder, stage.checkpoint)
            if self._stopped:
                self._note_outcome("stopped")
                log.info("stage.stopped", job=command.job, stage=command.stage)
                return True
            if ending is None or (self._leaving and isinstance(ending, protocol.Failed)):
                self._note_outcome("handed_over")
                log.info("stage.handed_over", job=command.job, stage=command.stage)
                return False
            if isinstance(ending, protocol.Done):
                event: e.Event = await self._completed(ending, begun)
            else:
                event = await self._failed(ending)
        except MissingObjectError as error:
            log.warning("stage.input_missing", job=command.job, detail=str(error))
            event = await self._failed(failures.INPUT_MISSING)
        except ObjectStoreError as error:
            log.warning("stage.store_failed", job=command.job, detail=str(error))
            await until_store_answers(
                self.bench.store, self.bench.readiness, lambda: self._stopped or self._leaving
            )
            if self._stopped or self._leaving:
                self._note_outcome("stopped" if self._stopped else "handed_over")
                return self._stopped
            event = await self._failed(failures.STORE_AWAY)
        except OSError as error:
            # Whatever else it is, the runner cannot go on; but this is over with the attempt.
            if not failures.is_full_disk(error):
                raise
            log.warning("stage.disk_full", job=command.job, detail=str(error))
            event = await self._failed(failures.DISK_FULL)
        finally:
            if self._process is not None:
                await self.bench.children.release(self._process)
            shutil.rmtree(folder, ignore_errors=True)
            await self._lines.finish()
        await reached(Failpoint.RUNNER_BEFORE_END_TOLD)
        await self._tell(event)
        span = trace.get_current_span()
        span.set_attribute("myspinbot.outcome", event.type_name())
        if isinstance(event, e.StageFailed):
            tracing.failed(span, event.code)
        self._note_outcome("completed" if isinstance(event, e.StageCompleted) else "failed")
        log.info("stage.ended", job=command.job, stage=command.stage, outcome=event.type_name())
        return True

    def _note_outcome(self, outcome: str) -> None:
        metrics.OUTCOMES.labels(self.command.kind, self.command.engine, outcome).inc()

    async def _tell(self, event: e.Event) -> None:
        recorded = self.bench.log.record(self.command.job, event)
        # In its turn: of facts that wait side by side for the broker, a later one may get through
        # first, and an older checkpoint would be the last that the job knows of.
        async with self._telling:
            await self.bench.log.offer(recorded, patience_s=_TELL_PATIENCE_S)

    async def _started(self, checkpoint: Checkpoint | None) -> None:
        command = self.command
        await self._tell(
            e.StageStarted(
                stage=command.stage,
                attempt=command.attempt,
                runner=self.bench.runner,
                device=self.device,
                delivery=self.delivery,
                resumed_from_step=checkpoint.step if checkpoint else None,
            )
        )
        log.info("stage.started", job=command.job, stage=command.stage, engine=command.engine)

    async def _perform(
        self, folder: Path, checkpoint: Checkpoint | None
    ) -> protocol.Done | protocol.Failed | None:
        command = self.command
        transfer = self._transfer()
        devices = tuple(self.device.split("+"))
        fetching = self.bench.clock()
        output, scratch = folder / "output", folder / "scratch"
        output.mkdir()
        scratch.mkdir()
        with tracing.within("fetch inputs", attributes=spans.attributes(command)):
            inputs = await transfer.fetch(command.inputs, folder / "inputs")
            resume = (
                await transfer.fetch_checkpoint(checkpoint.artifact, folder) if checkpoint else None
            )
        task = protocol.Task(
            module=self.engine.module,
            params_module=self.engine.params_module,
            params_class=self.engine.params_class,
            params=command.params,
            inputs=inputs,
            output=output,
            scratch=scratch,
            resume=resume,
            device=devices[0],
            seed=command.seed,
            devices=devices if self.engine.spreads else (),
            plugin=self.engine.plugin,
            signing=self._signing(),
        )
        if self._stopped or self._leaving:
            return None
        count = sum(map(len, command.inputs.values()))
        took = self.bench.clock() - fetching
        await self._lines.say(f"{command.engine} on {self.device}: {count} inputs in {took:.1f} s")
        told = spans.engine(command, self.device)
        with tracing.within(f"child {command.engine}", attributes=told) as span:
            ending = await self._compute(folder, task, transfer)
            if isinstance(ending, protocol.Failed):
                tracing.failed(span, ending.code)
        return ending

    def _signing(self) -> Signing | None:
        if self.bench.credentials is None:
            return None
        command = self.command
        made = Generation(
            job=command.job,
            stage=command.stage,
            attempt=command.attempt,
            kind=command.kind,
            engine=command.engine,
            engine_version=self.engine.version,
            created_at=utc_now(),
        )
        return Signing(self.bench.credentials, made)

    async def _compute(
        self, folder: Path, task: protocol.Task, transfer: Transfer
    ) -> protocol.Done | protocol.Failed | None:
        """Run the child process and pass on what it says, until its end."""
        self._process = await self.bench.children.start(
            folder, task, self.threads(), light=self.engine.light
        )
        trace.get_current_span().set_attribute("process.pid", self._process.pid)
        ending: protocol.Done | protocol.Failed | None = None
        async with asyncio.TaskGroup() as group:
            async for message in self._process.messages():
                self._heard_at = self.bench.clock()
                match message:
                    case protocol.Progress():
                        await self._progress.write(message)
                    case protocol.Line():
                        await self._lines.write(message)
                    case protocol.Checkpointed():
                        group.create_task(self._checkpointed(transfer, message))
                    case protocol.Sampled():
                        group.create_task(self._sampled(transfer, message))
                    case protocol.Done() | protocol.Failed():
                        ending = message
        return ending

    async def _checkpointed(self, transfer: Transfer, line: protocol.Checkpointed) -> None:
        async with self._uploads:
            await reached(Failpoint.RUNNER_BEFORE_CHECKPOINT_STORED)
            try:
                artifact = await transfer.put_checkpoint(line.directory, line.step)
            except (ObjectStoreError, OSError) as error:
                log.warning("stage.checkpoint_lost", job=self.command.job, detail=str(error))
                return
            finally:
                shutil.rmtree(line.directory, ignore_errors=True)
        await reached(Failpoint.RUNNER_BEFORE_CHECKPOINT_TOLD)
        await self._tell(
            e.StageCheckpointed(
                stage=self.command.stage,
                attempt=self.command.attempt,
                step=line.step,
                fraction=line.fraction,
                artifact=artifact,
            )
        )
        if line.asked_for:
            self._kept.set()

    async def _sampled(self, transfer: Transfer, line: protocol.Sampled) -> None:
        try:
            artifact = await transfer.put(line.path, f"sample/{line.step}-{line.path.name}")
        except ObjectStoreError as error:
            log.warning("stage.sample_lost", job=self.command.job, detail=str(error))
            return
        await self._tell(
            e.StageSampled(
                stage=self.command.stage,
                attempt=self.command.attempt,
                step=line.step,
                caption=line.caption,
                artifact=artifact,
            )
        )

    async def _completed(self, done: protocol.Done, begun: float) -> e.Event:
        duration_s = self.bench.clock() - begun
        await reached(Failpoint.RUNNER_BEFORE_OUTPUTS_STORED)
        with tracing.within("store outputs", attributes=spans.attributes(self.command)):
            outputs = await self._transfer().put_outputs(done.outputs)
        stored = self.bench.clock() - begun - duration_s
        metrics.note_result(self.command.kind, self.command.engine, done.metrics)
        await self._lines.say(f"done after {duration_s:.1f} s, stored in {stored:.1f} s")
        return e.StageCompleted(
            stage=self.command.stage,
            attempt=self.command.attempt,
            runner=self.bench.runner,
            outputs=outputs,
            metrics=done.metrics,
            duration_s=round(duration_s, 3),
        )

    def _transfer(self) -> Transfer:
        command = self.command
        return Transfer(self.bench.store, command.job, command.stage, command.attempt)

    async def _failed(self, failed: protocol.Failed) -> e.Event:
        await self._lines.say(f"{failed.cause}. {failed.remedy}", Level.ERROR)
        return e.StageFailed(
            stage=self.command.stage,
            attempt=self.command.attempt,
            code=failed.code,
            cause=failed.cause,
            remedy=failed.remedy,
            retryable=failed.retryable,
            runner=self.bench.runner,
        )
