"""The lines of one attempt, on their way to whoever reads along.

A stage may say more than anybody can read, so lines are thinned to a steady rate. What matters
is never thinned: warnings, errors, and the last line of all. Lines are a courtesy, like
progress: a stage goes on without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from contracts.commands import StageCommand
from contracts.stagelog import Level, StageLine
from eventlog.errors import EventLogError
from eventlog.log import utc_now
from eventlog.stagelogs import StageLogs

from gpu_runner import protocol

log = structlog.get_logger(__name__)

_PER_SECOND = 5.0
_AT_ONCE = 20.0
_LONGEST = 500


@dataclass(slots=True)
class Thinning:
    """Lets through so many a second, and a few more at once (a token bucket). Pure.

    Of what is held back only the latest is kept; it goes out before the next that may pass.
    """

    _tokens: float = _AT_ONCE
    _filled_at: float | None = None
    _held: protocol.Line | None = None

    def admit(self, line: protocol.Line, now_s: float) -> list[protocol.Line]:
        """What may go out now, in order, when `line` comes."""
        if self._filled_at is not None:
            gained = (now_s - self._filled_at) * _PER_SECOND
            self._tokens = min(_AT_ONCE, self._tokens + gained)
        self._filled_at = now_s
        if line.level is Level.INFO and self._tokens < 1:
            self._held = line
            return []
        self._tokens = max(0.0, self._tokens - 1)
        return [*self.rest(), line]

    def rest(self) -> list[protocol.Line]:
        """What was held back last, once nothing more comes."""
        held, self._held = self._held, None
        return [] if held is None else [held]


@dataclass(slots=True)
class LineWriter:
    """Publishes the lines of an attempt."""

    logs: StageLogs
    command: StageCommand
    clock: Callable[[], float] = time.monotonic
    _thinning: Thinning = field(default_factory=Thinning)

    async def write(self, line: protocol.Line) -> None:
        """Publish a line, or hold it back for now."""
        for admitted in self._thinning.admit(line, self.clock()):
            await self._publish(admitted)

    async def say(self, message: str, level: Level = Level.INFO) -> None:
        """Publish a line of the runner's own: there are few, so none is held back."""
        await self.finish()
        await self._publish(protocol.Line(message=message, level=level))

    async def finish(self) -> None:
        """Publish what was held back."""
        for held in self._thinning.rest():
            await self._publish(held)

    async def _publish(self, line: protocol.Line) -> None:
        stage_line = StageLine(
            job=self.command.job,
            stage=self.command.stage,
            attempt=self.command.attempt,
            at=utc_now(),
            level=line.level,
            message=line.message[:_LONGEST],
            step=line.step,
            values=line.values,
        )
        try:
            await self.logs.write(stage_line)
        except EventLogError as error:
            log.warning("stage.line_lost", job=self.command.job, detail=str(error))
