"""What is known of stages before they run: how long such stages take here, and what else runs.

What they took on this installation counts first, then what their engine's manifest says it
took where it was measured, at the pace of this installation as far as other stages of the
engine have shown it; where there is neither, nothing is claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from contracts.capabilities import EngineManifest, RunnerManifest
from contracts.commands import Lane
from contracts.events import Quality
from contracts.queries import GetStats, StageTimes, Stats
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.rpc import ask

from gateway.installation.eta import Machine

log = structlog.get_logger(__name__)

_REFRESH_S = 30.0
_PROCESSOR = "cpu"


class Basis(StrEnum):
    """What an estimate rests on."""

    MEASURED = "measured"
    """What it took here."""
    TYPICAL = "typical"
    """What it took elsewhere."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a stage. `seconds` is None where nothing is known."""

    seconds: float | None
    basis: Basis
    lane: Lane | None


class Outlook:
    """What live runners announce, and the times of stages as the projector counts them."""

    def __init__(self, runners: Callable[[], tuple[RunnerManifest, ...]]) -> None:
        self._runners = runners
        self._times: tuple[StageTimes, ...] = ()

    @property
    def times(self) -> tuple[StageTimes, ...]:
        """How long stages took here."""
        return self._times

    def learn(self, times: Iterable[StageTimes]) -> None:
        """Take in how long stages took."""
        self._times = tuple(times)

    async def follow(self, broker: Broker) -> None:
        """Ask the projector now and then, for ever."""
        while True:
            try:
                stats, _ = await ask(broker, GetStats(owner="gateway"), Stats)
                self.learn(stats.stages)
            except EventLogError as error:
                log.info("outlook.waiting", detail=str(error))
            await asyncio.sleep(_REFRESH_S)

    def machine(self) -> Machine:
        """What the live runners can do at once."""
        return machine(self._runners())

    def stage(self, kind: str, engine: str | None, quality: Quality) -> Expectation:
        """What to expect of a stage with this engine, or with the one that would be chosen."""
        chosen = choose(self._runners(), kind, engine, quality)
        name = chosen.engine if chosen else engine
        lane = chosen.lane if chosen else None
        for times in self._times:
            if (times.kind, times.engine, times.quality) == (kind, name, quality):
                return Expectation(times.median_s, Basis.MEASURED, lane)
        if chosen and quality in chosen.typical_s:
            seconds = chosen.typical_s[quality] * self._pace(chosen)
            return Expectation(seconds, Basis.TYPICAL, lane)
        return Expectation(None, Basis.UNKNOWN, lane)

    def _pace(self, engine: EngineManifest) -> float:
        """How many times as long as its manifest says an engine takes here, as far as known.

        Without it a quality that was never tried could look quicker than a lower one that was.
        """
        known = [
            (times.count, times.median_s / typical)
            for times in self._times
            if (times.kind, times.engine) == (engine.kind, engine.engine)
            and (typical := engine.typical_s.get(times.quality))
        ]
        total = sum(count for count, _ in known)
        return sum(count * pace for count, pace in known) / total if total else 1.0

    def kind(self, kind: str) -> float:
        """Seconds that a stage of a kind takes, whatever its engine and quality; 0 if unknown."""
        known = [(times.count, times.median_s) for times in self._times if times.kind == kind]
        if known:
            return sum(count * seconds for count, seconds in known) / sum(n for n, _ in known)
        return self.stage(kind, None, Quality.STANDARD).seconds or 0.0


def machine(runners: tuple[RunnerManifest, ...]) -> Machine:
    """A runner has one place on the `cpu` lane, and one on the `gpu` lane for each device.

    Where the only device is the processor itself, stages of both lanes share it.
    """
    if not runners:
        return Machine()
    gpus = sum(len(runner.devices) for runner in runners)
    alone = sum(
        len(runner.devices) + 1 if any(d.name != _PROCESSOR for d in runner.devices) else 1
        for runner in runners
    )
    return Machine({Lane.GPU: max(gpus, 1), Lane.CPU: len(runners)}, alone)


def choose(
    runners: tuple[RunnerManifest, ...], kind: str, engine: str | None, quality: Quality
) -> EngineManifest | None:
    """The engine that a stage would get: the one named, or the nearest to the quality."""
    order = list(Quality)

    def misfit(candidate: EngineManifest) -> tuple[int, str]:
        distances = [abs(order.index(quality) - order.index(own)) for own in candidate.qualities]
        return min(distances, default=len(order)), candidate.engine

    usable = [
        candidate
        for runner in runners
        for candidate in runner.engines
        if candidate.kind == kind and candidate.available and engine in (None, candidate.engine)
    ]
    return min(usable, key=misfit, default=None)
