"""A broker, an object store, a planner and a runner, all real, in reach of a test."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.graph import Graph, Stage
from contracts.job import JobState
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.topology import ensure
from gpu_runner.main import serve
from planner.main import plan
from servicekit.objects import ObjectStore, StoreAddress, open_store
from servicekit.service import Service
from servicekit.settings import Environment

from contracts import events as e
from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import object_store


@dataclass(frozen=True)
class World:
    """What a test of the runner has: the log to ask and read, and the store."""

    server: NatsServer
    broker: Broker
    log: EventLog
    store: ObjectStore
    services: tuple[asyncio.Task[None], ...]

    async def ask(self, *stages: Stage, job: str | None = None) -> str:
        """Request a pipeline of stages; returns the job."""
        job = job or f"job-{secrets.token_hex(4)}"
        request = e.JobRequested(
            type=e.JobType.PIPELINE,
            owner="me",
            graph=Graph(stages=stages),
            seed=secrets.randbits(40),
        )
        await self.log.append([self.log.record(job, request)], expected=0)
        return job

    async def until(self, job: str, wanted: str, timeout_s: float = 60) -> JobState:
        """The job once an event of a type, or the job's end, has come."""
        async with asyncio.timeout(timeout_s):
            while True:
                for service in self.services:
                    if service.done():
                        service.result()
                types = [recorded.type async for recorded in self.log.read_job(job)]
                state = await self.log.fold(job)
                if wanted in types or state.status.ended:
                    return state
                await asyncio.sleep(0.05)

    async def end_of(self, job: str) -> JobState:
        """The job when it has ended."""
        return await self.until(job, "never")


@pytest.fixture(scope="session")
def broker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder: Path = tmp_path_factory.mktemp("nats")
    with nats_server(folder) as running:
        yield running


@pytest.fixture(scope="session")
def store_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with object_store(tmp_path_factory.mktemp("weed")) as address:
        yield address


def environment_of(server: NatsServer, store: StoreAddress, role: str) -> dict[str, str]:
    """The settings of a service."""
    return {
        "MYSPINBOT_NATS_URL": server.address(role).url,
        "MYSPINBOT_NATS_SEED": str(server.seeds[role]),
        "MYSPINBOT_S3_ENDPOINT": store.endpoint,
        "MYSPINBOT_S3_ACCESS_KEY": store.access_key,
        "MYSPINBOT_S3_SECRET_KEY": store.secret_key,
        "MYSPINBOT_ENGINES": "tests.support.engines:ENGINES",
        "MYSPINBOT_RUNNER_GRACE_S": "5",
    }


@pytest.fixture
async def world(
    broker_server: NatsServer, store_address: StoreAddress, tmp_path: Path
) -> AsyncIterator[World]:
    admin = await connect(broker_server.address("admin"))
    await ensure(admin)
    settings = {
        role: environment_of(broker_server, store_address, role) for role in ("planner", "runner")
    }
    settings["runner"]["MYSPINBOT_SCRATCH"] = str(tmp_path / "scratch")
    tasks = (
        asyncio.create_task(plan(Service("planner", Environment(settings["planner"])))),
        asyncio.create_task(serve(Service("gpu-runner", Environment(settings["runner"])))),
    )
    async with open_store(store_address) as store:
        await store.ensure_bucket()
        yield World(broker_server, admin, EventLog(admin, "test"), store, tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await admin.close()
