"""Waiting for what a service needs: with growing pauses, said on `/ready` and in one log line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from servicekit.admin import Readiness

log = structlog.get_logger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


@dataclass(slots=True)
class Need:
    """One thing that a service cannot do without, such as `objects`.

    Call `failed` whenever it is away and `reached` whenever it is there: however often, the log
    tells once that it went and once that it came back.
    """

    what: str
    readiness: Readiness
    _away: bool = False
    _pause_s: float = _FIRST_PAUSE_S

    async def failed(self, error: Exception) -> None:
        """Say so, and return after a pause, which is longer each time in a row."""
        self.readiness.lost(self.what)
        if not self._away:
            log.warning("service.waiting", waiting_for=self.what, detail=str(error))
        self._away = True
        pause, self._pause_s = self._pause_s, min(self._pause_s * 2, _LONGEST_PAUSE_S)
        await asyncio.sleep(pause)

    def reached(self) -> None:
        """It is there."""
        if self._away:
            log.info("service.reached", reached=self.what)
        self._away, self._pause_s = False, _FIRST_PAUSE_S
        self.readiness.reached(self.what)

    async def insist(self, attempt: Callable[[], Awaitable[T]], failure: type[Exception]) -> T:
        """What `attempt` returns, tried again for as long as it raises a `failure`."""
        self.readiness.lost(self.what)
        while True:
            try:
                result = await attempt()
            except failure as error:
                await self.failed(error)
            else:
                self.reached()
                return result
