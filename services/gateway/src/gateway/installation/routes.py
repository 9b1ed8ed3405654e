"""The installation as it is: its live runners, and what there is and was to do."""

from __future__ import annotations

from contracts.base import Contract, Id, Name, Timestamp
from contracts.capabilities import Base, Device, EngineManifest, RunnerManifest, Weights
from contracts.commands import Lane
from contracts.job import JobStatus
from contracts.queries import GetStats, GetUsage, StageTimes, Stats, Usage
from eventlog.rpc import ask
from fastapi import APIRouter
from pydantic import Field

from gateway.context import Owner, TheGateway

router = APIRouter(prefix="/api", tags=["capabilities"])


class EngineView(Contract):
    """One way in which a runner can do one kind of stage."""

    kind: Name
    engine: Name
    version: str
    title: str
    lane: Lane
    available: bool = Field(description="false while it lacks its weights")
    missing: tuple[Weights, ...]
    base: Base | None = Field(description="what it starts from: title, size and licence")


class RunnerView(Contract):
    """A runner that announced itself within the last half minute."""

    runner_id: Id
    busy: int = Field(description="stages running now")
    devices: tuple[Device, ...]
    engines: tuple[EngineView, ...]
    announced_at: Timestamp


class RunnerList(Contract):
    """All live runners."""

    runners: tuple[RunnerView, ...]


class UsageView(Contract):
    """What the owner's jobs take up."""

    jobs: int
    objects: int
    stored_bytes: int
    quota_bytes: int | None = Field(description="null if there is no limit")


class QueueView(Contract):
    """Stages of all owners that wait for a runner, and that run."""

    waiting: int
    running: int


class StatsView(Contract):
    """Counts of the owner's jobs, and how long stages take here."""

    jobs: dict[JobStatus, int]
    usage: UsageView
    queue: QueueView
    stages: tuple[StageTimes, ...] = Field(
        description="seconds by kind, engine and quality, of the newest hundred of each"
    )


@router.get("/runners")
async def get_runners(gateway: TheGateway, owner: Owner) -> RunnerList:
    """Who does the work: devices, engines, and what they lack."""
    del owner
    manifests = sorted(gateway.runners.live, key=lambda manifest: manifest.runner)
    return RunnerList(runners=tuple(_runner(manifest) for manifest in manifests))


@router.get("/stats")
async def get_stats(gateway: TheGateway, owner: Owner) -> StatsView:
    """How many jobs there are, what they take up, what waits, and how long stages take."""
    seen = gateway.live.position
    stats, _ = await ask(gateway.broker, GetStats(owner=owner, min_position=seen), Stats)
    usage, _ = await ask(gateway.broker, GetUsage(owner=owner, min_position=seen), Usage)
    waiting, running = gateway.queue.counts()
    return StatsView(
        jobs=stats.jobs,
        usage=UsageView(
            jobs=usage.jobs,
            objects=usage.objects,
            stored_bytes=usage.stored_bytes,
            quota_bytes=gateway.settings.quota_bytes,
        ),
        queue=QueueView(waiting=waiting, running=running),
        stages=stats.stages,
    )


def _runner(manifest: RunnerManifest) -> RunnerView:
    return RunnerView(
        runner_id=manifest.runner,
        busy=manifest.busy,
        devices=manifest.devices,
        engines=tuple(_engine(engine) for engine in manifest.engines),
        announced_at=manifest.announced_at,
    )


def _engine(engine: EngineManifest) -> EngineView:
    shown = {name: getattr(engine, name) for name in EngineView.model_fields}
    return EngineView(**shown)
