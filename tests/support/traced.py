"""All four services as processes of their own, traced, with a small engine instead of real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from gateway_stack import make_streams

from tests.support.broker import nats_server
from tests.support.objectstore import object_server
from tests.support.ports import free_ports
from tests.support.service import Program

ENDED = ("completed", "failed", "cancelled")


@dataclass(slots=True)
class TracedStack:
    """The services that run, and how to ask them for something."""

    api: httpx.Client
    url: str
    folder: Path
    programs: Mapping[str, Program]

    def ask(self, *stages: Mapping[str, Any], **more: Any) -> str:
        """A job of stages that count."""
        body = {"type": "pipeline", "graph": {"stages": list(stages)}, **more}
        answer = self.api.post("/api/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["jobId"])

    def end_of(self, job: str, timeout_s: float = 60) -> dict[str, Any]:
        """The job once it has ended."""
        deadline = time.monotonic() + timeout_s
        while (view := self.api.get(f"/api/jobs/{job}").json())["status"] not in ENDED:
            assert time.monotonic() < deadline, view
            time.sleep(0.05)
        return dict(view)

    def trace(self, job: str) -> dict[str, Any]:
        """The trace as the gateway shows it."""
        answer = self.api.get(f"/api/jobs/{job}/trace")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def trace_with(self, job: str, *names: str, timeout_s: float = 20) -> dict[str, Any]:
        """The trace once it has spans of these names, told by services."""
        deadline = time.monotonic() + timeout_s
        while True:
            trace = self.trace(job)
            told = {span["name"] for span in trace["spans"] if span["source"] == "span"}
            if told >= set(names):
                return trace
            assert time.monotonic() < deadline, (set(names) - told, sorted(told))
            time.sleep(0.1)

    def logs(self) -> list[dict[str, Any]]:
        """Every line that the services have logged; fails if one is no JSON."""
        return [
            json.loads(line)
            for program in self.programs.values()
            for line in program.log.read_text().splitlines()
        ]


def count(stage: str, *, attempts: int = 1, **params: object) -> dict[str, Any]:
    """A stage that counts."""
    retry = {"attempts": attempts, "firstDelayS": 0.05}
    return {"id": stage, "kind": "count", "params": params, "retry": retry}


@contextlib.contextmanager
def traced_stack(folder: Path, settings: Mapping[str, str]) -> Iterator[TracedStack]:
    """The services with settings for all of them; they are started at the same time."""
    with nats_server(folder / "nats") as server, object_server(folder / "weed") as objects:
        asyncio.run(make_streams(server))
        http, *admin = free_ports(4)
        own = _settings(folder, objects.address)
        parts: Sequence[tuple[str, str, str, int]] = (
            ("gateway", "gateway.main", "gateway", http),
            ("projector", "projector.main", "projector", admin[0]),
            ("planner", "planner.main", "planner", admin[1]),
            ("runner", "gpu_runner.main", "runner", admin[2]),
        )
        programs = {
            name: Program(
                module,
                {
                    "MYSPINBOT_NATS_URL": server.address(role).url,
                    "MYSPINBOT_NATS_SEED": str(server.seeds[role]),
                    "MYSPINBOT_HTTP_PORT" if name == "gateway" else "MYSPINBOT_ADMIN_PORT": str(
                        port
                    ),
                    **own[name],
                    **settings,
                },
                f"http://127.0.0.1:{port}/ready",
                folder / f"{name}.log",
            )
            for name, module, role, port in parts
        }
        url = f"http://127.0.0.1:{http}"
        try:
            with ThreadPoolExecutor(len(programs)) as pool:
                list(pool.map(Program.start, programs.values()))
            with httpx.Client(base_url=url, timeout=30) as api:
                _await_engine(api)
                yield TracedStack(api, url, folder, programs)
        finally:
            for program in programs.values():
                program.kill()


def _settings(folder: Path, store: Any) -> dict[str, dict[str, str]]:
    objects = {
        "MYSPINBOT_S3_ENDPOINT": store.endpoint,
        "MYSPINBOT_S3_ACCESS_KEY": store.access_key,
        "MYSPINBOT_S3_SECRET_KEY": store.secret_key,
    }
    runner = {
        "MYSPINBOT_ENGINES": "tests.support.engines:ENGINES",
        "MYSPINBOT_SCRATCH": str(folder / "scratch"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return {
        "gateway": objects,
        "planner": {"MYSPINBOT_SNAPSHOTS": str(folder / "snapshots")},
        "projector": {"MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/views.db"},
        "runner": objects | runner,
    }


def _await_engine(api: httpx.Client) -> None:
    """Return when the gateway has heard of the runner."""
    deadline = time.monotonic() + 30
    while "counter" not in api.get("/api/capabilities").text:
        assert time.monotonic() < deadline, "no runner has announced itself"
        time.sleep(0.05)
