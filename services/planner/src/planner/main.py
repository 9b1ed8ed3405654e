"""Wires the planner: the one place where its parts are put together."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from contracts.capabilities import PlannerManifest, RunnerManifest
from eventlog.board import Board
from eventlog.broker import Broker
from eventlog.deadletters import dead_letters
from eventlog.errors import EventLogError, GapError, LogShrunkError, UnavailableError
from eventlog.log import EventLog
from eventlog.patience import insist
from eventlog.queue import CommandQueue
from eventlog.registry import ANNOUNCE_EVERY_S, announce, live_runners
from eventlog.topology import ensure_derived
from servicekit.service import Service, run
from servicekit.waiting import Need

from contracts import subjects
from planner import metrics
from planner.domain.decide import RUNNER_GRACE_S
from planner.domain.fleet import Fleet
from planner.domain.graphs import offers
from planner.follower import UnreadableEventError, follow
from planner.reconciler import Reconciler
from planner.snapshots import Snapshots

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 2.0


async def plan(service: Service) -> None:
    """Read the log to its end, then decide about every job as it moves. Runs until stopped."""
    async with service.broker("planner") as broker:
        while True:
            halted: Exception | None = None
            try:
                await _plan(service, broker)
            except* (UnreadableEventError, GapError, LogShrunkError) as group:
                halted = group.exceptions[0]
            log.error("planner.halted", detail=str(halted))
            service.readiness.lost(f"operator: {halted}")
            # Stay, so that /ready tells why and a restart does not hide it.
            await _replaced(service.event_log(broker, "planner"))
            log.info("planner.resumed")
            service.readiness.reached(f"operator: {halted}")


async def _replaced(event_log: EventLog) -> None:
    """Until the log is another one, such as that of a backup from before the upgrade."""
    before = await insist(event_log.position)
    while True:
        await asyncio.sleep(_LOOK_AGAIN_S)
        with contextlib.suppress(EventLogError):
            if (await event_log.position()).created != before.created:
                return


async def _plan(service: Service, broker: Broker) -> None:
    event_log = service.event_log(broker, "planner")
    grace_s = service.environment.number("RUNNER_GRACE_S", RUNNER_GRACE_S)
    replicas = service.environment.stream_replicas()
    known_since = service.now()
    end = await Need("log", service.readiness).insist(event_log.position, UnavailableError)
    snapshots = Snapshots(service.environment.path("SNAPSHOTS"), end.created, now=service.now)
    reconciler = Reconciler(
        event_log,
        CommandQueue(broker),
        Board(broker, subjects.CONTROL, subjects.ALL_STOPS),
        service.now,
        runner_grace_s=grace_s,
        memory=await insist(lambda: snapshots.recall(event_log, end)),
    )

    back = asyncio.Event()
    metrics.STANDING.look = reconciler.standing

    async def fleet_changed(manifests: tuple[RunnerManifest, ...]) -> None:
        await reconciler.fleet_changed(Fleet(manifests, known_since))

    async def watch_end() -> None:
        while True:
            await back.wait()
            back.clear()
            seen, now = reconciler.memory.position, await insist(event_log.position)
            if now.created == end.created and now.last_sequence < seen:
                raise LogShrunkError(seen, now.last_sequence)

    async def broker_returned() -> None:
        back.set()
        await insist(lambda: ensure_derived(broker, replicas, service.now))
        await reconciler.republish()

    async def caught_up() -> None:
        await reconciler.go_live()
        service.readiness.reached("start")

    await insist(lambda: ensure_derived(broker, replicas, service.now))
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        stack.callback(broker.on_reconnect(broker_returned))
        group.create_task(follow(broker, reconciler, snapshots, end.last_sequence, caught_up))
        group.create_task(live_runners(broker, service.now).follow(fleet_changed))
        group.create_task(reconciler.keep_time())
        group.create_task(watch_end())
        group.create_task(_announce(service, broker, grace_s))
        group.create_task(_settle_dead_letters(broker, reconciler))


async def _announce(service: Service, broker: Broker, grace_s: float) -> None:
    planner = service.environment.text("PLANNER_ID", "planner")
    while True:
        manifest = PlannerManifest(
            planner=planner, offers=offers(), runner_grace_s=grace_s, announced_at=service.now()
        )
        with contextlib.suppress(EventLogError):
            await announce(broker, manifest)
        await asyncio.sleep(ANNOUNCE_EVERY_S)


async def _settle_dead_letters(broker: Broker, reconciler: Reconciler) -> None:
    async for letter in dead_letters(broker):
        await reconciler.fail_dead_letter(letter)


def main() -> None:
    """The planner's process."""
    run("planner", plan)


if __name__ == "__main__":
    main()
