"""Wires the planner: the one place where its parts are put together."""

from __future__ import annotations

import asyncio
import contextlib

from contracts.capabilities import PlannerManifest, RunnerManifest
from eventlog.board import Board
from eventlog.broker import Broker
from eventlog.deadletters import dead_letters
from eventlog.errors import EventLogError
from eventlog.log import EventLog, utc_now
from eventlog.patience import insist
from eventlog.queue import CommandQueue
from eventlog.reader import read_log
from eventlog.registry import ANNOUNCE_EVERY_S, announce, live_runners
from eventlog.topology import ensure_derived
from servicekit.service import Service, run

from contracts import subjects
from planner.domain.decide import RUNNER_GRACE_S
from planner.domain.fleet import Fleet
from planner.domain.graphs import offers
from planner.reconciler import Reconciler


async def plan(service: Service) -> None:
    """Read the log to its end, then decide about every job as it moves. Runs until stopped."""
    async with service.broker("planner") as broker:
        event_log = EventLog(broker, "planner")
        grace_s = service.environment.number("RUNNER_GRACE_S", RUNNER_GRACE_S)
        reconciler = Reconciler(
            event_log,
            CommandQueue(broker),
            Board(broker, subjects.CONTROL, subjects.ALL_STOPS),
            utc_now,
            grace_s,
        )
        known_since = utc_now()

        async def fleet_changed(manifests: tuple[RunnerManifest, ...]) -> None:
            await reconciler.fleet_changed(Fleet(manifests, known_since))

        async def broker_returned() -> None:
            await insist(lambda: ensure_derived(broker))
            await reconciler.republish()

        broker.on_reconnect(broker_returned)
        await insist(lambda: ensure_derived(broker))
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow_log(service, broker, event_log, reconciler))
            group.create_task(live_runners(broker, utc_now).follow(fleet_changed))
            group.create_task(reconciler.keep_time())
            group.create_task(_announce(service, broker, grace_s))
            group.create_task(_settle_dead_letters(broker, reconciler))


async def _announce(service: Service, broker: Broker, grace_s: float) -> None:
    planner = service.environment.text("PLANNER_ID", "planner")
    while True:
        manifest = PlannerManifest(
            planner=planner, offers=offers(), runner_grace_s=grace_s, announced_at=utc_now()
        )
        with contextlib.suppress(EventLogError):
            await announce(broker, manifest)
        await asyncio.sleep(ANNOUNCE_EVERY_S)


async def _follow_log(
    service: Service, broker: Broker, event_log: EventLog, reconciler: Reconciler
) -> None:
    end = (await insist(event_log.position)).last_sequence
    if end == 0:
        await _ready(service, reconciler)
    async for batch in read_log(broker, after=0):
        await reconciler.read(batch)
        if not service.readiness.ready and batch[-1].sequence >= end:
            await _ready(service, reconciler)


async def _ready(service: Service, reconciler: Reconciler) -> None:
    await reconciler.go_live()
    service.readiness.reached("start")


async def _settle_dead_letters(broker: Broker, reconciler: Reconciler) -> None:
    async for letter in dead_letters(broker):
        await reconciler.fail_dead_letter(letter)


def main() -> None:
    """The planner's process."""
    run("planner", plan)


if __name__ == "__main__":
    main()
