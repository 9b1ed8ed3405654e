"""Every service as a process of its own, with broker and store, all of which may be broken.

Each service has ways of its own to the broker and to the store, on which a test may make weather.
What is given out and not heard of comes again after two seconds here, and not thirty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from servicekit.failpoints import Trap
from servicekit.objects import ObjectStore, open_store
from servicekit.settings import Environment
from servicekit.streams import make_streams

from contracts import subjects
from tests.faults.proxy import Proxy, proxy
from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import ObjectServer, object_server
from tests.support.ports import free_ports
from tests.support.service import Program

ROOT = Path(__file__).parents[2]
MODULES = {
    "gateway": "gateway.main",
    "planner": "planner.main",
    "projector": "projector.main",
    "runner": "gpu_runner.main",
}
ACK_WAIT_S = 2.0
PATIENCE_S = 120.0
"""How long anything is waited for: long enough for a machine that is busy with other things."""


@dataclass(slots=True)
class Site:
    """The processes. `url` is that of the gateway."""

    folder: Path
    server: NatsServer
    objects: ObjectServer
    programs: dict[str, Program]
    url: str
    database: str
    ways: dict[str, Proxy]
    """By the service and where it leads, such as `runner-store`."""
    armed: set[str] = field(default_factory=set)
    """Services that run with traps."""
    accepted: list[str] = field(default_factory=list)
    """The jobs that a client was told of, since somebody judged them last."""

    def stop_all(self) -> None:
        for program in self.programs.values():
            program.kill()

    async def start(self, name: str, *traps: Trap, **settings: str) -> None:
        """Start a service, killing the one that runs, and return when it is ready."""
        program = self.programs[name]
        program.kill()
        self.armed.discard(name)
        if traps:
            self.armed.add(name)
        own = {f"MYSPINBOT_{key}": value for key, value in settings.items()}
        own["MYSPINBOT_FAILPOINTS"] = ",".join(map(str, traps))
        armed = Program(
            program.module, {**program.environment, **own}, program.ready_url, program.log
        )
        self.programs[name] = armed
        try:
            await asyncio.to_thread(armed.start)
        except RuntimeError:
            # What it found to do has led it into its trap before it was ready.
            if not traps or armed.process is None or armed.process.poll() != -signal.SIGKILL:
                raise
        finally:
            # The next start is without what was asked for this time.
            armed.environment = program.environment

    def waits_for(self, name: str) -> list[str]:
        """What a service says that it waits for; all of that which does not answer is `process`."""
        port = self.programs[name].environment["MYSPINBOT_ADMIN_PORT"]
        try:
            said = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).json()
        except httpx.TransportError:
            return ["process"]
        return list(said["waitingFor"])

    def launch(self, name: str) -> None:
        """Start a service that is not to become ready."""
        program = self.programs[name]
        with program.log.open("ab") as log:
            program.process = subprocess.Popen(
                [sys.executable, "-m", program.module],
                env={**os.environ, **program.environment},
                stdout=log,
                stderr=log,
            )

    async def died(self, name: str) -> None:
        """Return when a service has been killed; anything else that ends it is a failure."""
        process = self.programs[name].process
        assert process is not None
        async with asyncio.timeout(PATIENCE_S):
            while process.poll() is None:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
        assert process.returncode == -signal.SIGKILL, self.programs[name].log.read_text()[-3000:]

    async def another_runner(self, name: str) -> None:
        """Start a second runner under a name of its own."""
        (port,) = free_ports(1)
        first = self.programs["runner"]
        settings = {
            **first.environment,
            "MYSPINBOT_RUNNER_ID": name,
            "MYSPINBOT_ADMIN_PORT": str(port),
        }
        ready = f"http://127.0.0.1:{port}/ready"
        self.programs[name] = Program(first.module, settings, ready, self.folder / f"{name}.log")
        await self.start(name)

    def retire(self, name: str) -> None:
        """End a service that a test has added."""
        self.programs.pop(name).kill()

    def signal(self, name: str, number: int) -> None:
        process = self.programs[name].process
        assert process is not None
        process.send_signal(number)

    def said(self, name: str, words: str) -> bool:
        """Whether a service has logged something."""
        return words in self.programs[name].log.read_text()


@dataclass(frozen=True, slots=True)
class Visit:
    """What a test has to ask and to look with, beside the services."""

    site: Site
    broker: Broker
    log: EventLog
    store: ObjectStore
    client: httpx.AsyncClient

    async def ask(self, key: str, *stages: Mapping[str, Any]) -> str:
        """Ask for a job until it is accepted, as a program does that wants it once."""
        body = {
            "type": "pipeline",
            "prompt": f"words of {key}",
            "graph": {"stages": list(stages or default_stages())},
            # Of its own, so that no earlier stage is reused.
            "seed": zlib.crc32(key.encode()),
        }
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await self.client.post(
                        "/api/jobs", json=body, headers={"Idempotency-Key": key}
                    )
                    if answer.status_code == 202:
                        job = str(answer.json()["jobId"])
                        self.site.accepted.append(job)
                        return job
                    assert answer.status_code in (429, 500, 503), answer.text
                await asyncio.sleep(0.1)

    async def told(self, job: str) -> list[str]:
        """The types of a job's events."""
        return [recorded.type async for recorded in self.log.read_job(job)]

    async def commands(self) -> int:
        """How many are in the queue."""
        info = await self.broker.api(f"STREAM.INFO.{subjects.COMMANDS}")
        return int(info["state"]["messages"])

    async def until_told(self, job: str, event_type: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while event_type not in await self.told(job):  # noqa: ASYNC110 - the log is asked
                await asyncio.sleep(0.02)


async def until(happens: Callable[[], bool]) -> None:
    """Return once something is so, in another process or thread."""
    async with asyncio.timeout(PATIENCE_S):
        while not happens():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


def count(stage_id: str, **params: object) -> dict[str, Any]:
    """A stage that counts, and fails fast."""
    retry = {"attempts": 3, "firstDelayS": 0.05}
    return {"id": stage_id, "kind": "count", "params": params, "retry": retry}


def default_stages() -> list[dict[str, Any]]:
    """One stage with an input of the user's and a checkpoint, and one with its output."""
    words, counted = {"words": {"output": "prompt"}}, {"x": {"stage": "first", "output": "count"}}
    return [
        {**count("first", does="checkpoint"), "inputs": words},
        {**count("second"), "inputs": counted},
    ]


@contextlib.asynccontextmanager
async def visit(site: Site) -> AsyncIterator[Visit]:
    broker = await connect(site.server.address("admin"))
    try:
        async with (
            open_store(site.objects.address) as store,
            httpx.AsyncClient(base_url=site.url, timeout=20) as client,
        ):
            yield Visit(site, broker, EventLog(broker, "test"), store, client)
    finally:
        await broker.close()


@contextlib.contextmanager
def running_site(
    folder: Path,
    *,
    database: str | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Site]:
    """All of it, ready. `own` is what single services are told besides."""
    with (
        nats_server(folder / "nats") as server,
        object_server(folder / "weed") as objects,
        contextlib.ExitStack() as stack,
    ):
        ways = {
            f"{name}-{there}": stack.enter_context(proxy(*free_ports(1), target))
            for name, there, target in _ways(server, objects)
        }
        site = planned_site(folder, server, objects, ways, database=database, own=own)
        try:
            asyncio.run(prepare(site))
            for program in site.programs.values():
                program.start()
            yield site
        finally:
            site.stop_all()


def _ways(server: NatsServer, objects: ObjectServer) -> Iterator[tuple[str, str, int]]:
    store = urlsplit(objects.address.endpoint).port
    assert store is not None
    for name in MODULES:
        yield name, "broker", server.port
    for name in ("gateway", "runner"):
        yield name, "store", store


async def prepare(site: Site) -> None:
    """What an installation does before its services start, and whenever the broker has."""
    settings = {
        "MYSPINBOT_NATS_URL": site.server.address("admin").url,
        "MYSPINBOT_NATS_SEED": str(site.server.seeds["admin"]),
        "MYSPINBOT_ACK_WAIT_S": str(ACK_WAIT_S),
    }
    await make_streams(Environment(settings))


def planned_site(
    folder: Path,
    server: NatsServer,
    objects: ObjectServer,
    ways: dict[str, Proxy],
    *,
    database: str | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Site:
    """The services, none of which runs yet."""
    database = database or f"sqlite+aiosqlite:///{folder}/views.db"
    http, *ports = free_ports(1 + len(MODULES))
    common = {
        "MYSPINBOT_ACK_WAIT_S": str(ACK_WAIT_S),
        "MYSPINBOT_S3_ACCESS_KEY": objects.address.access_key,
        "MYSPINBOT_S3_SECRET_KEY": objects.address.secret_key,
        "MYSPINBOT_HTTP_PORT": str(http),
        "MYSPINBOT_DATABASE_URL": database,
        "MYSPINBOT_SNAPSHOTS": str(folder / "snapshots"),
        "MYSPINBOT_SCRATCH": str(folder / "scratch"),
        "MYSPINBOT_RUNNER_ID": "runner",
        "MYSPINBOT_ENGINES": "tests.support.engines:ENGINES",
        "PYTHONPATH": str(ROOT),
    }
    programs = {}
    for (name, module), port in zip(MODULES.items(), ports, strict=True):
        settings = {
            **common,
            "MYSPINBOT_NATS_URL": f"nats://127.0.0.1:{ways[f'{name}-broker'].port}",
            "MYSPINBOT_NATS_SEED": str(server.seeds[name]),
            "MYSPINBOT_ADMIN_PORT": str(port),
            **{f"MYSPINBOT_{key}": value for key, value in (own or {}).get(name, {}).items()},
        }
        if way := ways.get(f"{name}-store"):
            settings["MYSPINBOT_S3_ENDPOINT"] = f"http://127.0.0.1:{way.port}"
        ready = f"http://127.0.0.1:{port}/ready"
        programs[name] = Program(module, settings, ready, folder / f"{name}.log")
    return Site(folder, server, objects, programs, f"http://127.0.0.1:{http}", database, ways)
