"""The services in the simulated world: their own code, wired to what is simulated."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.capabilities import Device
from contracts.commands import Lane
from eventlog.broker import Broker
from eventlog.keyvalue import KeyValue
from eventlog.stagelogs import StageLogs
from gpu_runner import main as runner
from gpu_runner.bench import Bench
from planner import main as planner
from projector.answers import Progress
from projector.follower import Follower
from projector.projection import Projection
from projector.projections import jobs, stages, timeline
from servicekit.admin import Readiness
from servicekit.objects import ObjectStore
from servicekit.service import Service
from servicekit.settings import Environment

from contracts import subjects
from tests.simulation.children import ENGINES, KINDS, Nursery
from tests.simulation.lives import Life
from tests.simulation.store import Objects, SimulatedS3
from tests.simulation.views import open_views

PROJECTIONS: tuple[Projection, ...] = (jobs.PROJECTION, stages.PROJECTION, timeline.PROJECTION)
"""Those that are followed: the states of jobs, what hangs on each stage, and what on each event."""

_GRACE_S = 20
_STORE_PATIENCE_S = 10.0
_DEVICE = Device(name="cpu", title="cpu", memory_bytes=1)


class SimulatedService(Service):
    """What a service is given: connections of its life, and its clock."""

    def __init__(
        self, life: Life, name: str, chance: random.Random, values: dict[str, str]
    ) -> None:
        environment = Environment({f"MYSPINBOT_{key}": value for key, value in values.items()})
        super().__init__(name, environment, now=life.now, entropy=chance.randbytes)
        self._life = life

    @contextlib.asynccontextmanager
    async def broker(self, role: str) -> AsyncIterator[Broker]:
        """A connection, as `Service.broker` makes one."""
        broker = self._life.connect(role)
        try:
            yield broker
        finally:
            await broker.close()


Body = Callable[[Life, "Surroundings"], tuple[SimulatedService, Coroutine[Any, Any, None]]]
"""Makes the service of a life, and its work."""


@dataclass
class Surroundings:
    """What processes find outside of themselves and the broker."""

    chance: random.Random
    delay_s: Callable[[], float]
    folder: Path
    snapshots: bool
    objects: Objects = field(default_factory=Objects)
    nursery: Nursery = field(default_factory=Nursery)


def a_planner(number: int) -> Body:
    """The whole planner."""

    def body(life: Life, around: Surroundings) -> tuple[SimulatedService, Any]:
        values = {"RUNNER_GRACE_S": str(_GRACE_S), "PLANNER_ID": f"planner-{number}"}
        if around.snapshots:
            values["SNAPSHOTS"] = str(around.folder / f"planner-{number}")
        service = SimulatedService(life, "planner", around.chance, values)
        return service, planner.plan(service)

    return body


def a_runner(number: int, kinds: tuple[str, ...] = KINDS) -> Body:
    """The whole runner, on a machine with one lane whose stages are simulated."""

    def body(life: Life, around: Surroundings) -> tuple[SimulatedService, Any]:
        values = {"CHECKPOINT_WAIT_S": "5"}
        service = SimulatedService(life, "gpu-runner", around.chance, values)
        return service, _run(service, life, around, f"runner-{number}", kinds)

    return body


async def _run(
    service: SimulatedService, life: Life, around: Surroundings, name: str, kinds: tuple[str, ...]
) -> None:
    client = SimulatedS3(around.objects, around.delay_s, life.step)
    life.connections.append(client)
    engines = {key: engine for key, engine in ENGINES.items() if engine.kind in kinds}
    async with service.broker("runner") as broker:
        bench = Bench(
            log=service.event_log(broker, "gpu-runner"),
            progress=KeyValue(broker, subjects.PROGRESS),
            lines=StageLogs(broker),
            store=ObjectStore(client, "simulated", _STORE_PATIENCE_S),
            runner=name,
            scratch=around.folder / life.name,
            readiness=service.readiness,
            clock=asyncio.get_running_loop().time,
            children=around.nursery.of(life),
        )
        machine = runner.Machine((_DEVICE,), [(Lane.CPU, "cpu")], engines)
        await runner.work(service, broker, bench, machine)


def a_projector(path: str) -> Body:
    """The projector's way along the log, on views in a file."""

    def body(life: Life, around: Surroundings) -> tuple[SimulatedService, Any]:
        service = SimulatedService(life, "projector", around.chance, {})
        return service, _project(service, life, around, path)

    return body


async def _project(service: SimulatedService, life: Life, around: Surroundings, path: str) -> None:
    async def reach(statement: str) -> None:
        life.step(statement)
        await asyncio.sleep(around.delay_s() / 10)

    async def caught_up() -> None:
        """Nobody asks it anything here."""

    database = open_views(path, reach)
    try:
        async with service.broker("projector") as broker:
            follower = Follower(
                broker,
                database,
                PROJECTIONS,
                progress=Progress(),
                readiness=Readiness(),
                caught_up=caught_up,
            )
            await follower.run()
    finally:
        await database.close()
