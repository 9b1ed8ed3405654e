"""The registries of live runners and planners: who announced within the last half minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import structlog
from contracts.capabilities import PlannerManifest, RunnerManifest
from pydantic import ValidationError

from contracts import subjects
from eventlog.board import Board, Note
from eventlog.broker import Broker
from eventlog.patience import insist

log = structlog.get_logger(__name__)

ANNOUNCE_EVERY_S = 10.0
LIVE_FOR = timedelta(seconds=30)
_SWEEP_S = 5.0


class Manifest(Protocol):
    """What is announced: a contract that says where, and what matters of it."""

    @property
    def subject(self) -> str: ...

    @property
    def essence(self) -> object: ...

    def to_json(self) -> bytes: ...


M = TypeVar("M", RunnerManifest, PlannerManifest)


async def announce(broker: Broker, manifest: Manifest) -> None:
    """Tell all that its maker lives and what it can do."""
    board = Board(broker, subjects.RUNNERS, manifest.subject)
    await board.post(manifest.subject, manifest.to_json())


class Registry(Generic[M]):
    """Those who announced a manifest of one model lately, as this process knows them."""

    def __init__(
        self, broker: Broker, model: type[M], subject_filter: str, now: Callable[[], datetime]
    ) -> None:
        self._board = Board(broker, subjects.RUNNERS, subject_filter, now)
        self._model: type[M] = model
        self._now = now
        self._known: dict[str, tuple[datetime, M]] = {}

    @property
    def live(self) -> tuple[M, ...]:
        """The manifests of all that are live now."""
        oldest = self._now() - LIVE_FOR
        return tuple(manifest for seen, manifest in self._known.values() if seen > oldest)

    async def follow(
        self, on_change: Callable[[tuple[M, ...]], Awaitable[None]] | None = None
    ) -> None:
        """Keep the registry up to date, for ever; call back when what can be done changes."""
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
            offered = {manifest.subject: manifest.essence for manifest in self.live}
            if offered != told:
                told = offered
                log.info("registry.changed", live=sorted(offered))
                if on_change:
                    await on_change(self.live)
            changed.clear()
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await changed.wait()
            except TimeoutError:
                continue

    def _note(self, note: Note) -> None:
        try:
            manifest = self._model.model_validate_json(note.data)
        except ValidationError as error:
            log.warning("registry.unreadable", subject=note.subject, detail=str(error))
            return
        seen = note.posted_at or self._now()
        known = self._known.get(manifest.subject)
        if known is None or known[0] <= seen:
            self._known[manifest.subject] = (seen, manifest)


def live_runners(broker: Broker, now: Callable[[], datetime]) -> Registry[RunnerManifest]:
    """The registry of runners."""
    return Registry(broker, RunnerManifest, subjects.ALL_RUNNERS, now)


def live_planners(broker: Broker, now: Callable[[], datetime]) -> Registry[PlannerManifest]:
    """The registry of planners."""
    return Registry(broker, PlannerManifest, subjects.ALL_PLANNERS, now)
