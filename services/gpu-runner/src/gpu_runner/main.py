"""Wires the runner: the one place where its parts are put together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import structlog
from contracts.capabilities import Device, RunnerManifest
from contracts.commands import Lane, StopCommand
from eventlog.board import Board, Note
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError
from eventlog.keyvalue import KeyValue
from eventlog.queue import CommandQueue
from eventlog.registry import announce
from eventlog.stagelogs import StageLogs
from servicekit.objects import ObjectStore, ObjectStoreError, StoreAddress, open_store
from servicekit.processes import lives
from servicekit.sandbox.confinement import tell_lacking
from servicekit.service import Service, run
from servicekit.settings import Environment, SettingsError
from servicekit.waiting import Need

from contracts import subjects
from gpu_runner import metrics
from gpu_runner.announcer import Announcer
from gpu_runner.bench import Bench
from gpu_runner.catalogue import Engine
from gpu_runner.credentials import Identity, UnusableCredentialsError
from gpu_runner.devices import find_devices
from gpu_runner.engines import ENGINES
from gpu_runner.outage import bucket_answers
from gpu_runner.plugins.found import plugged_in
from gpu_runner.worker import InHand, LaneWorker

log = structlog.get_logger(__name__)

_FINISH_S = 0.0
"""By default a runner that is told to stop lets nothing finish: on a laptop it should be gone."""
_CHECKPOINT_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What a runner has to work with: each lane with its device, and engines by kind and name."""

    devices: tuple[Device, ...]
    lanes: Sequence[tuple[Lane, str]]
    engines: Mapping[tuple[str, str], Engine]


async def serve(service: Service) -> None:
    """Announce what this machine can do, and do it. Runs until stopped."""
    environment = service.environment
    runner = environment.text("RUNNER_ID", _default_id())
    scratch = make_scratch(environment.path("SCRATCH") or Path(tempfile.gettempdir()))
    credentials = find_credentials(environment)
    tell_lacking()
    machine = _find_machine(environment)
    async with (
        service.broker("runner") as broker,
        open_store(StoreAddress.of(environment)) as store,
    ):
        bench = Bench(
            log=service.event_log(broker, "gpu-runner"),
            progress=KeyValue(broker, subjects.PROGRESS),
            lines=StageLogs(broker),
            store=store,
            runner=runner,
            scratch=scratch,
            readiness=service.readiness,
            credentials=credentials,
        )
        await work(service, broker, bench, machine)


def _find_machine(environment: Environment) -> Machine:
    devices = find_devices()
    allowed, per_stage = allowed_lanes(environment), devices_per_stage(environment)
    engines = {
        (engine.kind, engine.name): engine
        for engine in load_engines(environment)
        if engine.lane in allowed
    }
    lanes = [each for each in lanes_of(devices, per_stage) if each[0] in allowed]
    return Machine(devices, lanes, engines)


async def work(service: Service, broker: Broker, bench: Bench, machine: Machine) -> None:
    """The same for a machine that is known, at a bench that is ready."""
    environment, engines, in_hand = service.environment, machine.engines, InHand()
    metrics.MACHINE.devices, metrics.MACHINE.scratch = machine.devices, bench.scratch
    metrics.MACHINE.engines, metrics.MACHINE.silences = tuple(engines), in_hand.silences

    async def tell_all() -> None:
        manifest = RunnerManifest(
            runner=bench.runner,
            devices=machine.devices,
            engines=tuple(engine.manifest() for engine in engines.values()),
            busy=len(in_hand.attempts),
            announced_at=service.now(),
        )
        with contextlib.suppress(EventLogError):
            await announce(broker, manifest)

    announcer = Announcer(tell_all)
    await _hear_stops(broker, in_hand)
    finish_s = environment.number("DRAIN_S", _FINISH_S)
    checkpoint_s = environment.number("CHECKPOINT_WAIT_S", _CHECKPOINT_WAIT_S)
    service.drain = lambda: in_hand.leave(finish_s, checkpoint_s)
    queue = CommandQueue(broker, environment.ack_wait_s())
    await _needed(service, queue, bench.store, engines)
    async with contextlib.aclosing(bench.children), asyncio.TaskGroup() as group:
        for lane, device in machine.lanes:
            worker = LaneWorker(queue, bench, lane, device, engines, in_hand, announcer.changed)
            group.create_task(worker.work())
        service.readiness.reached("start")
        await announcer.run()


async def _needed(
    service: Service,
    queue: CommandQueue,
    store: ObjectStore,
    engines: Mapping[tuple[str, str], Engine],
) -> None:
    """Wait for what every stage needs, as one that was taken without it would only fail."""

    async def queue_there() -> None:
        for engine in engines.values():
            await queue.open(engine.kind, engine.lane)

    await Need("queue", service.readiness).insist(queue_there, UnavailableError)
    await Need("objects", service.readiness).insist(lambda: bucket_answers(store), ObjectStoreError)


async def _hear_stops(broker: Broker, in_hand: InHand) -> None:
    async def stopped(note: Note) -> None:
        stop = StopCommand.model_validate_json(note.data)
        await in_hand.stop(stop.job, stop.stage, stop.attempt)

    await Board(broker, subjects.CONTROL, subjects.ALL_STOPS).watch(stopped)


def make_scratch(parent: Path) -> Path:
    """A scratch folder of this process; those of processes that are gone are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob("myspinbot-runner-*-*"):
        pid = left.name.split("-")[2]
        if not (pid.isdecimal() and lives(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"myspinbot-runner-{os.getpid()}-", dir=parent))


def find_credentials(environment: Environment) -> Path | None:
    """The file by which this installation signs what it makes; SettingsError if it is no such."""
    path = environment.path("CREDENTIALS")
    try:
        if path:
            Identity.read(path)
    except UnusableCredentialsError as error:
        raise SettingsError(str(error)) from error
    return path


def load_engines(environment: Environment) -> tuple[Engine, ...]:
    """Our own engines, those that `MYSPINBOT_ENGINES` names as `module:attribute,…`, and plug-ins.

    Raises SettingsError if one of those that are named cannot be imported.
    """
    engines = list(ENGINES)
    for place in filter(None, environment.text("ENGINES", "").split(",")):
        module, _, attribute = place.partition(":")
        try:
            engines += getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"MYSPINBOT_ENGINES: there is no {place!r}: {error}") from error
    return (*engines, *plugged_in(environment.values, engines))


def allowed_lanes(environment: Environment) -> frozenset[Lane]:
    """The lanes that this runner works off: `MYSPINBOT_LANES`, such as `cpu`; all if it is unset.

    Where some machines have GPUs, those without leave the GPU lane to them.
    """
    named = environment.text("LANES", ",".join(Lane)).replace(",", " ").split()
    if not named or (unknown := sorted(set(named) - set(Lane))):
        wrong = unknown[0] if named else ""
        raise SettingsError(f"MYSPINBOT_LANES has {wrong!r}; there are {', '.join(Lane)}")
    return frozenset(Lane(name) for name in named)


def lanes_of(devices: Sequence[Device], per_stage: int) -> list[tuple[Lane, str]]:
    """Each lane with what works it off: the devices of the GPU lane, so many a stage, and the CPU.

    Devices that work together are written as `cuda:0+cuda:1`; the last may have fewer with them.
    """
    names = [device.name for device in devices]
    groups = [names[first : first + per_stage] for first in range(0, len(names), per_stage)]
    return [*((Lane.GPU, "+".join(group)) for group in groups), (Lane.CPU, "cpu")]


def devices_per_stage(environment: Environment) -> int:
    """Over how many devices a stage is spread, if it can be: `MYSPINBOT_DEVICES_PER_STAGE`."""
    number = environment.number("DEVICES_PER_STAGE", 1)
    if number < 1 or number != int(number):
        raise SettingsError(f"MYSPINBOT_DEVICES_PER_STAGE must be 1 or more, not {number:g}")
    return int(number)


def _default_id() -> str:
    return re.sub(r"[^a-z0-9-]", "-", platform.node().lower())[:48].strip("-") or "runner"


def main() -> None:
    """The runner's process."""
    run("gpu-runner", serve)


if __name__ == "__main__":
    main()
