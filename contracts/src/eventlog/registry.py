"""The registry of live runners: who announced a manifest within the last half minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from contracts.capabilities import RunnerManifest
from pydantic import ValidationError

from contracts import subjects
from eventlog.board import Board, Note
from eventlog.broker import Broker
from eventlog.patience import insist

log = structlog.get_logger(__name__)

ANNOUNCE_EVERY_S = 10.0
LIVE_FOR = timedelta(seconds=30)
_SWEEP_S = 5.0

OnChange = Callable[[tuple[RunnerManifest, ...]], Awaitable[None]]


async def announce(broker: Broker, manifest: RunnerManifest) -> None:
    """Tell all that this runner lives and what it can do."""
    board = Board(broker, subjects.RUNNERS, subjects.ALL_RUNNERS)
    await board.post(subjects.runner(manifest.runner), manifest.to_json())


class RunnerRegistry:
    """The live runners as this process knows them."""

    def __init__(self, broker: Broker, now: Callable[[], datetime]) -> None:
        self._board = Board(broker, subjects.RUNNERS, subjects.ALL_RUNNERS)
        self._now = now
        self._known: dict[str, tuple[datetime, RunnerManifest]] = {}

    @property
    def runners(self) -> tuple[RunnerManifest, ...]:
        """The manifests of all that are live now."""
        oldest = self._now() - LIVE_FOR
        return tuple(manifest for seen, manifest in self._known.values() if seen > oldest)

    async def follow(self, on_change: OnChange | None = None) -> None:
        """Keep the registry up to date, for ever; call back when what runners can do changes."""
        changed = asyncio.Event()

        async def noted(note: Note) -> None:
            self._note(note)
            changed.set()

        await self._board.watch(noted)

        async def look() -> None:
            async for note in self._board.all():
                self._note(note)

        await insist(look)
        told: object = None
        while True:
            offers = {m.runner: (m.engines, m.devices) for m in self.runners}
            if offers != told:
                told = offers
                log.info("registry.changed", runners=sorted(offers))
                if on_change:
                    await on_change(self.runners)
            changed.clear()
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await changed.wait()
            except TimeoutError:
                continue

    def _note(self, note: Note) -> None:
        try:
            manifest = RunnerManifest.model_validate_json(note.data)
        except ValidationError as error:
            log.warning("registry.unreadable", subject=note.subject, detail=str(error))
            return
        seen = note.posted_at or self._now()
        known = self._known.get(manifest.runner)
        if known is None or known[0] <= seen:
            self._known[manifest.runner] = (seen, manifest)
