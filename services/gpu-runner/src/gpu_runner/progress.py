"""The progress of one attempt, on its way to whoever watches: a courtesy, never waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from contracts.commands import StageCommand
from contracts.progress import StageProgress
from eventlog.errors import EventLogError
from eventlog.keyvalue import KeyValue, RevisionError
from eventlog.log import utc_now

from contracts import subjects
from gpu_runner import metrics, protocol
from gpu_runner.pace import Pace

log = structlog.get_logger(__name__)

_EVERY_S = 0.4


@dataclass(slots=True)
class ProgressWriter:
    """Posts how far an attempt is, a few times a second at most.

    Two runners may work on one attempt, where one of them was taken for dead. Each posts only over
    what it has seen, so that the highest that was shown stays the highest.
    """

    board: KeyValue
    command: StageCommand
    clock: Callable[[], float] = time.monotonic
    _pace: Pace = field(default_factory=Pace)
    _high: float = 0.0
    _posted_at: float = float("-inf")
    _unit: str | None = None
    _seen: int = 0

    @property
    def eta_s(self) -> float | None:
        """Seconds until all is done, if that can be told."""
        return self._pace.eta_s

    async def begin(self, known: float, *, first: bool) -> None:
        """Find out how far earlier attempts were seen to be, so that progress does not go back.

        `known` is the fraction that the log knows of; before the `first` attempt there was nothing.
        """
        self._high = known
        if first:
            return
        try:
            await self._look()
        except EventLogError as error:
            log.warning("stage.progress_unknown", job=self.command.job, detail=str(error))

    async def _look(self) -> None:
        entry = await self.board.get(self._subject)
        self._seen = entry.revision if entry else 0
        if entry:
            self._high = max(self._high, entry.read(StageProgress).high)

    async def write(self, line: protocol.Progress) -> None:
        """Post what the stage says, unless it has just said something."""
        now = self.clock()
        self._pace.mark(now, line.done, line.total)
        if now - self._posted_at < _EVERY_S and line.done < line.total:
            return
        self._posted_at = now
        fraction = min(max(line.done / line.total, 0.0), 1.0) if line.total else 0.0
        self._high = max(self._high, fraction)
        self._unit = line.unit
        pace = metrics.pace_of(self.command.kind, self.command.engine, line.unit)
        pace.set(self._pace.rate or 0.0)
        try:
            await self._post(line, fraction)
        except EventLogError as error:
            log.warning("stage.progress_lost", job=self.command.job, detail=str(error))

    async def _post(self, line: protocol.Progress, fraction: float) -> None:
        try:
            await self._put(line, fraction)
        except RevisionError:
            # Another runner works on it as well, or the broker has forgotten all of it.
            await self._look()
            await self._put(line, fraction)

    async def _put(self, line: protocol.Progress, fraction: float) -> None:
        progress = StageProgress(
            job=self.command.job,
            stage=self.command.stage,
            attempt=self.command.attempt,
            fraction=fraction,
            high=self._high,
            done=line.done,
            total=line.total,
            unit=line.unit,
            message=line.message,
            rate=self._pace.rate,
            eta_s=self._pace.eta_s,
            at=utc_now(),
        )
        self._seen = await self.board.put(self._subject, progress.to_json(), self._seen)

    def finish(self) -> None:
        """Nothing is done any more."""
        if self._unit is not None:
            metrics.pace_of(self.command.kind, self.command.engine, self._unit).set(0)

    @property
    def _subject(self) -> str:
        return subjects.progress(self.command.job, self.command.stage)
