"""Jobs go on through the loss of the broker's leader and its return, and nothing is amiss after.

One is the main job: photos and a clip become a LoRA, a voice and a talking video by the real
engines. Light jobs run beside it, so that stages also end and begin just when the leader goes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.events import Teller
from contracts.findings import Severity
from contracts.graph import Binding, Graph, Stage
from contracts.job import JobState, JobStatus, StageStatus
from contracts.verification import Verifier
from eventlog.broker import Broker, connect
from eventlog.errors import EventLogError
from eventlog.log import EventLog, utc_now
from eventlog.reader import read_stored_log
from eventlog.topology import derived_streams, lasting_streams
from gateway.main import body as answer
from gpu_runner.main import serve
from planner.main import plan
from projector.main import body as project
from servicekit.objects import ObjectStore, StoreAddress, open_store
from servicekit.service import Service
from servicekit.settings import Environment
from servicekit.streams import make_streams

from contracts import events as e
from contracts import subjects
from tests.support.cluster import Cluster, broker_cluster
from tests.support.objectstore import object_store
from tests.support.ports import free_ports
from tests.support.samples import LITTLE, post_generate
from tests.support.video import assert_shows_and_sounds
from tests.support.views import assert_views_match_log

pytestmark = pytest.mark.long

LIGHT_JOBS = 2
LIGHT_STAGES = 2
MAIN_STAGES = 6


@dataclass(frozen=True)
class Site:
    """A cluster of three brokers with every service."""

    cluster: Cluster
    broker: Broker
    log: EventLog
    objects: ObjectStore
    database: str
    url: str
    services: tuple[asyncio.Task[None], ...]

    async def until(self, asked: Callable[[], Awaitable[bool]], within_s: float = 200) -> None:
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

    async def offers_main_job(self) -> bool:
        """Whether a person may ask for it now."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/ready")).status_code != 200:
                    return False
                told = (await client.get("/api/capabilities")).json()
                return set(LITTLE) <= set(told["kinds"])
        return False

    async def ask_for_main_job(self) -> str:
        """As a person does, by the gateway."""
        await self.until(self.offers_main_job)
        accepted = await asyncio.to_thread(
            post_generate, self.url, photos=2, script="Hello there.", params=LITTLE, quality="draft"
        )
        assert accepted.status_code == 202, accepted.text
        return str(accepted.json()["jobId"])

    async def ask_for_light_job(self, name: str) -> str:
        request = e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=pipeline())
        await self.log.append([self.log.record(name, request)], expected=0)
        return name


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
        database = f"sqlite+aiosqlite:///{tmp_path / 'views.db'}"
        objects = {
            "MYSPINBOT_S3_ENDPOINT": store.endpoint,
            "MYSPINBOT_S3_ACCESS_KEY": store.access_key,
            "MYSPINBOT_S3_SECRET_KEY": store.secret_key,
        }
        runner = {
            "MYSPINBOT_SCRATCH": str(tmp_path / "scratch"),
            "MYSPINBOT_ENGINES": "tests.support.engines:ENGINES",
        }
        [port] = free_ports(1)
        parts: tuple[tuple[str, Callable[[Service], Awaitable[None]], dict[str, str]], ...] = (
            ("gateway", answer, {"MYSPINBOT_HTTP_PORT": str(port), **objects}),
            ("planner", plan, {}),
            # The second goes on with light stages while the first trains in both of its lanes.
            ("runner", serve, {**runner, **objects, "MYSPINBOT_RUNNER_ID": "first"}),
            (
                "runner",
                serve,
                {
                    **runner,
                    **objects,
                    "MYSPINBOT_RUNNER_ID": "second",
                    "MYSPINBOT_LANES": "cpu",
                },
            ),
            ("projector", project, {"MYSPINBOT_DATABASE_URL": database}),
        )
        async with open_store(store) as opened:
            await opened.ensure_bucket()
            services = tuple(
                asyncio.ensure_future(body(Service(role, settings(cluster, role, **own))))
                for role, body, own in parts
            )
            admin = await connect(cluster.address("admin"))
            log, url = EventLog(admin, "gateway"), f"http://127.0.0.1:{port}"
            yield Site(cluster, admin, log, opened, database, url, services)
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
                params={"steps": 5, "pause_s": 0.2},
                inputs={"x": Binding(stage=f"s{number - 1}", output="count")} if number else {},
            )
            for number in range(LIGHT_STAGES)
        )
    )


async def test_the_main_job_goes_on_through_the_loss_of_the_leader_and_its_return(
    site: Site, tmp_path: Path
) -> None:
    for config in (*lasting_streams(3), *derived_streams(3)):
        assert len((await site.cluster_of(config["name"]))["replicas"]) == 2
    main = await site.ask_for_main_job()

    async def state() -> JobState:
        return await site.log.fold(main)

    async def trains() -> bool:
        training = (await state()).stages.get("train_lora")
        return training is not None and training.checkpoint is not None

    await site.until(trains)
    # Only now, so that they are under way when the leader goes.
    light = [await site.ask_for_light_job(f"light-{number}") for number in range(LIGHT_JOBS)]
    leader = str((await site.cluster_of(subjects.JOBS))["leader"])
    lost_at = utc_now()
    site.cluster.named(leader).kill()

    async def trained() -> bool:
        return (await state()).stages["train_lora"].status is StageStatus.COMPLETED

    await site.until(trained)
    assert (await site.cluster_of(subjects.JOBS))["leader"] != leader
    site.cluster.named(leader).start()

    async def all_ended() -> bool:
        return all([(await site.log.fold(job)).status.ended for job in (main, *light)])

    await site.until(all_ended)

    async def whole_again() -> bool:
        clusters = [
            await site.cluster_of(config["name"])
            for config in (*lasting_streams(3), *derived_streams(3))
        ]
        replicas = [replica for each in clusters for replica in each["replicas"]]
        return all(replica["current"] and not replica.get("offline") for replica in replicas)

    await site.until(whole_again)

    for job in (main, *light):
        ended = await site.log.fold(job)
        assert ended.status is JobStatus.COMPLETED, ended.failure
        assert all(stage.attempt == 1 for stage in ended.stages.values())
    training = (await state()).stages["train_lora"]
    assert training.started_at < lost_at < training.ended_at
    await nothing_is_amiss(site)
    await assert_views_match_log(site.cluster.address("observer"), site.database)

    [video] = (await state()).stages["render_video"].outputs["video"]
    path = tmp_path / "video.mp4"
    await site.objects.get_file(video, path)
    assert_shows_and_sounds(path)


async def nothing_is_amiss(site: Site) -> None:
    """No event is lost, doubled, out of order or changed; each stage was completed once."""
    end = (await site.log.position()).last_sequence
    verifier, ids, completed = Verifier(), Counter[str](), Counter[tuple[str, str]]()
    told: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    reading = read_stored_log(site.broker, 0)
    async for events in reading:
        for stored in events:
            findings = verifier.examine(stored)
            assert not [each for each in findings if each.severity is Severity.ERROR], findings
            ids[stored.id] += 1
            recorded = stored.recorded()
            if isinstance(event := recorded.event, e.StageCompleted):
                completed[stored.job, event.stage] += 1
            if Teller.RUNNER in event.told_by:
                told[stored.job, getattr(event, "stage", "")].append(recorded.time)
        if events[-1].sequence >= end:
            break
    await reading.aclose()
    assert verifier.tally.events == end
    assert set(ids.values()) == {1}
    assert len(completed) == MAIN_STAGES + LIGHT_JOBS * LIGHT_STAGES
    assert set(completed.values()) == {1}
    assert all(times == sorted(times) for times in told.values()), told
