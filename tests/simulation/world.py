"""One simulated world from its beginning to its end: a storm, then calm, then judgement."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventlog.topology import ensure

from tests.simulation.judge import Judge, ViolationError
from tests.simulation.lives import Life
from tests.simulation.loop import VirtualLoop
from tests.simulation.processes import Process
from tests.simulation.readmodels import check_views
from tests.simulation.server import Server
from tests.simulation.services import (
    SimulatedService,
    Surroundings,
    a_planner,
    a_projector,
    a_runner,
)
from tests.simulation.tracing import Trace, no_trace
from tests.simulation.weather import Weather
from tests.simulation.workload import People

_LOOK_EVERY_S = 1.0
_SETTLES_WITHIN_S = 3600.0
_AFTERWARDS_S = 5.0
_PROJECTS = 0.2
_KEEPS_SNAPSHOTS = 0.15


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a world ended. `violation` says what did not hold, if there was such a thing."""

    seed: int
    violation: str | None
    events: int
    simulated_s: float


class World:
    """Everything there is, as a seed says."""

    def __init__(self, seed: int, loop: VirtualLoop, folder: Path, trace: Trace) -> None:
        self.chance = chance = random.Random(seed)
        self.loop = loop
        self.trace = trace
        self.weather = Weather(chance)
        self.server = Server(loop)
        self.around = Surroundings(
            chance, self.weather.delay_s, folder, snapshots=chance.random() < _KEEPS_SNAPSHOTS
        )
        self.judge = Judge(self.server, self.around.objects, self.around.nursery)
        self.people = People(chance, self.around.objects)
        self.server_up = True
        self.views = str(folder / "views.db") if chance.random() < _PROJECTS else None
        self.failures: list[str] = []
        self._spawned: dict[asyncio.Task[None], None] = {}
        self._calm_since = float("inf")
        self.processes = [
            *(Process(self, f"planner-{n}", a_planner(n)) for n in range(chance.choice((1, 1, 2)))),
            *(
                Process(self, f"runner-{n}", a_runner(n))
                for n in range(chance.choice((1, 2, 2, 3)))
            ),
        ]
        if self.views:
            self.processes.append(Process(self, "projector", a_projector(self.views)))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something happen that is nobody's own work."""
        task = self.loop.create_task(work, context=contextvars.Context())
        self._spawned[task] = None
        task.add_done_callback(lambda done: self._spawned.pop(done, None))
        return task

    def life(self, name: str) -> Life:
        """A new run of a process."""
        return Life(self.loop, self.server, self.weather, name)

    async def run(self) -> None:
        """Live through it. Raises ViolationError."""
        await self._prepare()
        for process in self.processes:
            process.start()
        gateway = self.life("gateway")
        service = SimulatedService(gateway, "gateway", self.chance, {})
        log = service.event_log(gateway.connect("gateway"), "gateway")
        people = gateway.start(self.people.live(gateway, log))
        self.gateway = gateway
        storm = self.spawn(self._storm())
        try:
            await self._until_settled(storm, people)
            if self.views:
                await check_views(self.views, self.around.folder, self.judge.events)
        finally:
            storm.cancel()
            for process in self.processes:
                await process.end()
            gateway.kill()
            await gateway.end()
            for task in tuple(self._spawned):
                task.cancel()
            await asyncio.gather(*self._spawned, return_exceptions=True)

    async def _prepare(self) -> None:
        """The streams are made before anything starts, as by an operator."""
        admin = Life(self.loop, self.server, Weather(random.Random(0)), "admin")
        await ensure(admin.connect("admin"), now=admin.now)
        admin.kill()
        await admin.end()

    async def _until_settled(self, storm: asyncio.Task[None], people: asyncio.Task[None]) -> None:
        settled_for, what = 0.0, [""]
        while settled_for < _AFTERWARDS_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self.loop.time()
            if self.failures:
                raise ViolationError(self.failures[0])
            for recorded in self.judge.look():
                stage = getattr(recorded.event, "stage", None) or ""
                self.trace(
                    "log", f"{recorded.sequence} {recorded.job[-4:]} {recorded.type} {stage}"
                )
            self.judge.watch_children(now, self._calm_since)
            self.judge.watch_progress()
            if storm.done():
                storm.result()
                self._calm_since = min(self._calm_since, now)
            if people.done():
                people.result()
            if now - self._calm_since > _SETTLES_WITHIN_S:
                raise ViolationError(f"an hour of calm did not settle it: {'; '.join(what)}")
            what = self.judge.unfinished(self.people.accepted)
            if not people.done():
                what.append("somebody still wants something")
            settled = storm.done() and not what
            settled_for = settled_for + _LOOK_EVERY_S if settled else 0.0

    async def _storm(self) -> None:
        weather, chance = self.weather, self.chance
        end = self.loop.time() + weather.storm_s
        while weather.troubles:
            await asyncio.sleep(chance.expovariate(1.0 / weather.every_s))
            if self.loop.time() >= end:
                break
            trouble = chance.choice(weather.troubles)
            await getattr(self, f"_{trouble}")()
        weather.calm = True
        for process in self.processes:
            process.calm()
        self.gateway.mend()
        self.trace("world", "calm")

    # The troubles.

    def _somebody(self) -> Process:
        return self.chance.choice(self.processes)

    async def _crash(self) -> None:
        self._somebody().crash("killed")

    async def _fuse(self) -> None:
        process = self._somebody()
        if process.life is not None:
            process.life.fuse = self.chance.choice((0, 1, 2, 3, 5, 8, 13, 21, 34))

    async def _freeze(self) -> None:
        self._somebody().freeze(self.chance.choice((3.0, 12.0, 40.0, 80.0)))

    async def _cut(self) -> None:
        lives = [one.life for one in self.processes if one.life] + [self.gateway]
        life = self.chance.choice(lives)
        seconds = self.chance.choice((0.1, 2.0, 12.0))
        self.trace(life.name, f"is cut off for {seconds} s")
        life.cut()

        async def mend() -> None:
            await asyncio.sleep(seconds)
            if self.server_up:
                life.mend()

        self.spawn(mend())

    async def _broker(self) -> None:
        self.trace("broker", "restarts")
        self.server_up = False
        lives = [one.life for one in self.processes if one.life] + [self.gateway]
        for life in lives:
            life.cut()
        self.server.restart()
        await asyncio.sleep(self.chance.choice((0.2, 3.0, 9.0)))
        self.server_up = True
        for life in [one.life for one in self.processes if one.life] + [self.gateway]:
            await asyncio.sleep(self.chance.uniform(0.0, 0.5))
            life.mend()

    async def _clock(self) -> None:
        process = self._somebody()
        if process.life is not None:
            process.skew_s = process.life.skew_s = self.chance.choice((-60.0, -1.0, 5.0, 120.0))
            self.trace(process.name, f"has a clock that is {process.skew_s} s off")

    async def _store(self) -> None:
        self.trace("store", "is away")
        self.around.objects.away = True
        await asyncio.sleep(self.chance.choice((1.0, 15.0)))
        self.around.objects.away = False

    async def _drain(self) -> None:
        self._somebody().stop(drain=True)

    async def _stop(self) -> None:
        self._somebody().stop(drain=False)


def explore(seed: int, trace: Trace = no_trace) -> Outcome:
    """Live through the world of a seed."""
    # What ends when it is collected would otherwise end at another moment each time.
    gc.disable()
    try:
        return _live(seed, trace)
    finally:
        gc.collect(0)
        gc.enable()


def _live(seed: int, trace: Trace) -> Outcome:
    loop = VirtualLoop()
    with tempfile.TemporaryDirectory(prefix="world-", dir=_fastest()) as folder:
        world = World(seed, loop, Path(folder), trace)
        trace.clock = loop.time
        violation = None
        try:
            loop.run_until_complete(world.run())
        except ViolationError as error:
            violation = str(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    return Outcome(seed, violation, len(world.judge.events), loop.time())


def _fastest() -> str | None:
    """A folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
