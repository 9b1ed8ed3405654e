"""Services that start before what they need: they wait, say for what, and go on by themselves."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.graph import Graph, Stage
from eventlog.broker import connect
from eventlog.log import EventLog
from gateway_stack import make_streams

from contracts import events as e
from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import ObjectServer, object_server
from tests.support.ports import free_ports

SOON_S = 60.0
ROOT = Path(__file__).parents[2]
MODULES = {
    "gateway": "gateway.main",
    "planner": "planner.main",
    "projector": "projector.main",
    "runner": "gpu_runner.main",
}


@dataclass
class Running:
    """The four services as processes, and what each says."""

    ports: dict[str, int]
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def ready(self, name: str) -> tuple[bool, list[str]]:
        """Whether it is, and what it waits for; that nobody listens is a wait too."""
        url = f"http://127.0.0.1:{self.ports[name]}/ready"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            said = json.load(error)
        except OSError:
            return False, ["process"]
        return said["ready"], said["waitingFor"]

    def told(self, name: str, event: str) -> list[dict[str, object]]:
        """What it has logged of a kind."""
        text = (self.folder / f"{name}.log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def alive(self) -> bool:
        return all(process.poll() is None for process in self.processes.values())


def until(happens: Callable[[], object], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not happens():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@contextlib.contextmanager
def services(folder: Path, server: NatsServer, objects: ObjectServer) -> Iterator[Running]:
    ports = dict(zip(MODULES, free_ports(4), strict=True))
    running = Running(ports, folder, {})
    (http,) = free_ports(1)
    for name, module in MODULES.items():
        environment = {
            **os.environ,
            "MYSPINBOT_NATS_URL": server.address(name).url,
            "MYSPINBOT_NATS_SEED": str(server.seeds[name]),
            "MYSPINBOT_ADMIN_PORT": str(ports[name]),
            "MYSPINBOT_HTTP_PORT": str(http),
            "MYSPINBOT_S3_ENDPOINT": objects.address.endpoint,
            "MYSPINBOT_S3_ACCESS_KEY": objects.address.access_key,
            "MYSPINBOT_S3_SECRET_KEY": objects.address.secret_key,
            "MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/views.db",
            "MYSPINBOT_SCRATCH": str(folder / "scratch"),
            "MYSPINBOT_ENGINES": "tests.support.engines:ENGINES",
            "PYTHONPATH": str(ROOT),
        }
        with (folder / f"{name}.log").open("wb") as log:
            running.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module], env=environment, stdout=log, stderr=log
            )
    try:
        yield running
    finally:
        for process in running.processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NatsServer, ObjectServer]]:
    folder = tmp_path_factory.mktemp("outages")
    with nats_server(folder / "nats") as server, object_server(folder / "weed") as objects:
        yield server, objects


def waits(running: Running) -> dict[str, list[str]]:
    return {name: running.ready(name)[1] for name in MODULES}


def all_ready(running: Running) -> bool:
    return all(running.ready(name)[0] for name in MODULES)


async def test_services_start_before_all_they_need_and_go_on_as_it_comes(
    parts: tuple[NatsServer, ObjectServer], tmp_path: Path
) -> None:
    server, objects = parts
    server.kill()
    objects.kill()
    with services(tmp_path, server, objects) as running:

        def all_wait_for(what: str) -> bool:
            return all(what in said for said in waits(running).values())

        until(lambda: all_wait_for("broker"), lambda: waits(running))
        server.start()
        # The broker is there, and nobody has made the streams yet.
        until(
            lambda: not any("broker" in x for x in waits(running).values()), lambda: waits(running)
        )
        until(
            lambda: (
                "log" in running.ready("planner")[1]
                and "log" in running.ready("projector")[1]
                and "queue" in running.ready("runner")[1]
            ),
            lambda: waits(running),
        )
        await make_streams(server)
        until(
            lambda: running.ready("planner")[0] and running.ready("projector")[0],
            lambda: waits(running),
        )
        until(
            lambda: all("objects" in running.ready(name)[1] for name in ("gateway", "runner")),
            lambda: waits(running),
        )
        objects.start()
        until(lambda: all_ready(running), lambda: waits(running))
        for name in MODULES:
            assert len(running.told(name, "broker.error")) == 1, name
        for name, what in (("planner", "log"), ("projector", "log"), ("runner", "queue")):
            told = [x["waiting_for"] for x in running.told(name, "service.waiting")]
            assert told.count(what) == 1, name
        assert running.alive()


async def test_the_loss_of_the_broker_is_said_once_and_mended_without_help(
    parts: tuple[NatsServer, ObjectServer], tmp_path: Path
) -> None:
    server, objects = parts
    await make_streams(server)
    with services(tmp_path, server, objects) as running:
        until(lambda: all_ready(running), lambda: waits(running))
        server.kill()
        until(
            lambda: all("broker" in said for said in waits(running).values()),
            lambda: waits(running),
        )
        server.start()
        until(lambda: all_ready(running), lambda: waits(running))
        for name in MODULES:
            lost = running.told(name, "broker.error") + running.told(name, "broker.disconnected")
            assert len(lost) == 1, (name, lost)
            assert running.told(name, "broker.reconnected")
        assert running.alive()


async def test_a_stage_outlasts_the_loss_of_the_object_store_without_using_up_its_attempts(
    parts: tuple[NatsServer, ObjectServer], tmp_path: Path
) -> None:
    server, objects = parts
    await make_streams(server)
    admin = await connect(server.address("admin"))
    log, job = EventLog(admin, "test"), f"job-{secrets.token_hex(4)}"
    count = Stage(id="count", kind="count", params={"steps": 20, "pause_s": 0.1})
    request = e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=Graph(stages=(count,)))

    async def told() -> list[str]:
        return [recorded.type async for recorded in log.read_job(job)]

    with services(tmp_path, server, objects) as running:
        until(lambda: all_ready(running), lambda: waits(running))
        await log.tell(job, request)
        deadline = time.monotonic() + SOON_S
        while "StageStarted" not in await told():
            assert time.monotonic() < deadline, await told()
        objects.kill()
        # What it made cannot be stored: that is said, and the attempt is kept.
        until(lambda: "objects" in running.ready("runner")[1], lambda: waits(running))
        objects.start()
        while not (await log.fold(job)).status.ended:
            assert time.monotonic() < deadline + SOON_S, await told()
        events = await told()
        assert events[-1] == "JobCompleted", events
        assert events.count("StageFailed") == 1, events
        assert running.alive()
    await admin.close()
