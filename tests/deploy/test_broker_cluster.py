"""Jobs go on through the loss of the broker's leader and its return, and nothing is amiss after."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from contracts.findings import Severity
from contracts.graph import Binding, Graph, Stage
from contracts.job import JobStatus
from contracts.verification import Verifier
from eventlog.broker import Broker, connect
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from eventlog.reader import read_stored_log
from eventlog.topology import derived_streams, lasting_streams
from gpu_runner.main import serve
from planner.main import plan
from projector.main import body as project
from servicekit.objects import StoreAddress, open_store
from servicekit.service import Service
from servicekit.settings import Environment
from servicekit.streams import make_streams

from contracts import events as e
from contracts import subjects
from tests.support.cluster import Cluster, broker_cluster
from tests.support.objectstore import object_store
from tests.support.views import assert_views_match_log

JOBS = 3
STAGES = 4


@dataclass(frozen=True)
class Site:
    """A cluster of three brokers with every service that works on jobs."""

    cluster: Cluster
    broker: Broker
    log: EventLog
    database: str
    services: tuple[asyncio.Task[None], ...]

    async def until(self, asked: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
        """Ask again and again; the broker may be away in between."""
        async with asyncio.timeout(within_s):
            while True:
                for service in self.services:
                    if service.done():
                        service.result()
                with contextlib.suppress(EventLogError):
                    if await asked():
                        return
                await asyncio.sleep(0.1)

    async def cluster_of(self, stream: str) -> dict[str, Any]:
        info = await self.broker.api(f"STREAM.INFO.{stream}")
        return dict(info["cluster"])


def settings(cluster: Cluster, role: str, **own: str) -> Environment:
    return Environment(
        {
            "MYSPINBOT_NATS_URL": cluster.url,
            "MYSPINBOT_NATS_SEED": str(cluster.seeds[role]),
            "MYSPINBOT_STREAM_REPLICAS": "3",
            **own,
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with object_store(tmp_path_factory.mktemp("weed")) as address:
        yield address


@pytest.fixture
async def site(store: StoreAddress, tmp_path: Path) -> AsyncIterator[Site]:
    with broker_cluster(tmp_path) as cluster:
        await make_streams(settings(cluster, "admin"))
        async with open_store(store) as objects:
            await objects.ensure_bucket()
        database = f"sqlite+aiosqlite:///{tmp_path / 'views.db'}"
        runner = settings(
            cluster,
            "runner",
            MYSPINBOT_S3_ENDPOINT=store.endpoint,
            MYSPINBOT_S3_ACCESS_KEY=store.access_key,
            MYSPINBOT_S3_SECRET_KEY=store.secret_key,
            MYSPINBOT_SCRATCH=str(tmp_path / "scratch"),
            MYSPINBOT_ENGINES="tests.support.engines:ENGINES",
            MYSPINBOT_LANES="cpu",
        )
        projector = settings(cluster, "projector", MYSPINBOT_DATABASE_URL=database)
        services = (
            asyncio.create_task(plan(Service("planner", settings(cluster, "planner")))),
            asyncio.create_task(serve(Service("gpu-runner", runner))),
            asyncio.create_task(project(Service("projector", projector))),
        )
        admin = await connect(cluster.address("admin"))
        yield Site(cluster, admin, EventLog(admin, "gateway"), database, services)
        for service in services:
            service.cancel()
        await asyncio.gather(*services, return_exceptions=True)
        await admin.close()


def pipeline() -> Graph:
    """Stages one after the other, each with the output of the one before."""
    return Graph(
        stages=tuple(
            Stage(
                id=f"s{number}",
                kind="count",
                params={"steps": 5, "pause_s": 0.1},
                inputs={"x": Binding(stage=f"s{number - 1}", output="count")} if number else {},
            )
            for number in range(STAGES)
        )
    )


async def test_jobs_go_on_through_the_loss_of_the_leader_and_its_return(site: Site) -> None:
    for config in (*lasting_streams(3), *derived_streams(3)):
        assert len((await site.cluster_of(config["name"]))["replicas"]) == 2
    jobs = [f"job-{number}" for number in range(JOBS)]
    for seed, job in enumerate(jobs):
        request = e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=pipeline(), seed=seed)
        await site.log.append([site.log.record(job, request)], expected=0)

    async def stages_done() -> int:
        states = [await site.log.fold(job) for job in jobs]
        return sum(stage.outputs != {} for state in states for stage in state.stages.values())

    async def begun() -> bool:
        return await stages_done() >= 2

    await site.until(begun)
    leader = str((await site.cluster_of(subjects.JOBS))["leader"])
    site.cluster.named(leader).kill()

    before = await stages_done_when_it_can(site, stages_done)

    async def went_on() -> bool:
        return await stages_done() >= before + 3

    await site.until(went_on)
    assert (await site.cluster_of(subjects.JOBS))["leader"] != leader
    site.cluster.named(leader).start()

    async def all_ended() -> bool:
        return all([(await site.log.fold(job)).status.ended for job in jobs])

    await site.until(all_ended)

    async def whole_again() -> bool:
        clusters = [
            await site.cluster_of(config["name"])
            for config in (*lasting_streams(3), *derived_streams(3))
        ]
        replicas = [replica for each in clusters for replica in each["replicas"]]
        return all(replica["current"] and not replica.get("offline") for replica in replicas)

    await site.until(whole_again)

    for job in jobs:
        state = await site.log.fold(job)
        assert state.status is JobStatus.COMPLETED, state.failure
        assert all(stage.attempt == 1 for stage in state.stages.values())
    await nothing_is_amiss(site)
    await assert_views_match_log(site.cluster.address("observer"), site.database)


async def stages_done_when_it_can(site: Site, stages_done: Callable[[], Awaitable[int]]) -> int:
    found: list[int] = []

    async def told() -> bool:
        found.append(await stages_done())
        return True

    await site.until(told)
    return found[-1]


async def nothing_is_amiss(site: Site) -> None:
    """No event is lost, doubled, out of order or changed; each stage was completed once."""
    end = (await site.log.position()).last_sequence
    verifier, ids, completed = Verifier(), Counter[str](), Counter[tuple[str, str]]()
    reading = read_stored_log(site.broker, 0)
    async for events in reading:
        for stored in events:
            findings = verifier.examine(stored)
            assert not [each for each in findings if each.severity is Severity.ERROR], findings
            ids[stored.id] += 1
            if isinstance(event := stored.recorded().event, e.StageCompleted):
                completed[stored.job, event.stage] += 1
        if events[-1].sequence >= end:
            break
    await reading.aclose()
    assert verifier.tally.events == end
    assert set(ids.values()) == {1}
    assert len(completed) == JOBS * STAGES
    assert set(completed.values()) == {1}
