"""The four services as programs of the embedded stack: the same as anywhere, by their settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from myspinbot.embedded.broker import NATS
from myspinbot.embedded.home import ADMIN_TOKEN, COOKIE_SECRET, LOOPBACK, Facing, Home
from myspinbot.embedded.objects import BUCKET, WEED, Keys
from myspinbot.embedded.probe import answers_ok
from myspinbot.embedded.processes import Program
from myspinbot.embedded.supervision import Ties

_OTHERS = (
    "NATS_",
    "S3_",
    "DATABASE_",
    "ACCESS",
    "SECRET",
    "ADMIN_TOKEN",
    "TOKEN",
    "API",
    "SNAPSHOTS",
    "CREDENTIALS",
    "FAILPOINTS",
)


def admin_ports(ports: Mapping[str, int]) -> dict[str, int]:
    """The port for operators of each service, by the name that its metrics have."""
    names = ("gateway", "planner", "projector", "runner")
    return {name: ports[f"{name}_admin"] for name in names}


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What children get of our environment: all but what belongs to other stacks, and to tests."""
    ours = tuple(f"MYSPINBOT_{prefix}" for prefix in _OTHERS)
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


@dataclass(frozen=True, slots=True)
class _Service:
    """What one service has of its own. Its role at the broker gives it its permissions."""

    name: str
    module: str
    role: str
    admin_port: int
    settings: Mapping[str, str]
    uses: tuple[str, ...] = ()
    http_port: int | None = None
    """Where it is ready when it answers; absent: at its port for operators."""
    host: str = LOOPBACK


def programs(
    home: Home,
    ports: Mapping[str, int],
    *,
    seeds: Mapping[str, Path],
    keys: Keys,
    credentials: Path,
    facing: Facing,
    environment: Mapping[str, str],
) -> list[Program]:
    """The services, each with the credentials of its own work and no others."""
    objects = {
        "MYSPINBOT_S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
        "MYSPINBOT_S3_BUCKET": BUCKET,
        "MYSPINBOT_S3_ACCESS_KEY": keys.access_key,
        "MYSPINBOT_S3_SECRET_KEY": keys.secret_key,
    }
    web = _web(home, ports["http"], facing)
    database = {"MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{home.views}"}
    snapshots = {"MYSPINBOT_SNAPSHOTS": str(home.run / "snapshots")}
    runner = {
        "MYSPINBOT_SCRATCH": str(home.run / "scratch"),
        "MYSPINBOT_MODELS": str(home.weights(environment)),
        "MYSPINBOT_HOME": str(home.root),
        "MYSPINBOT_CREDENTIALS": str(credentials),
    }
    table = (
        _Service("projector", "projector", "projector", ports["projector_admin"], database),
        _Service("planner", "planner", "planner", ports["planner_admin"], snapshots),
        _Service(
            "gpu-runner", "gpu_runner", "runner", ports["runner_admin"], objects | runner, (WEED,)
        ),
        _Service(
            "gateway",
            "gateway",
            "gateway",
            ports["gateway_admin"],
            objects | web,
            uses=(WEED,),
            http_port=ports["http"],
            host=facing.probed,
        ),
    )
    return [_program(service, home, ports["nats"], seeds, environment) for service in table]


def _web(home: Home, port: int, facing: Facing) -> dict[str, str]:
    """What the gateway alone is told: where it listens, whom it lets in, its own secrets."""
    settings = {
        "MYSPINBOT_HTTP_HOST": facing.host,
        "MYSPINBOT_HTTP_PORT": str(port),
        "MYSPINBOT_ACCESS": facing.access,
        "MYSPINBOT_SECRET": home.secret(COOKIE_SECRET),
    }
    if facing.access == "token":
        settings["MYSPINBOT_ADMIN_TOKEN"] = home.secret(ADMIN_TOKEN)
    return settings


def _program(
    service: _Service,
    home: Home,
    nats_port: int,
    seeds: Mapping[str, Path],
    environment: Mapping[str, str],
) -> Program:
    common = {
        "MYSPINBOT_NATS_URL": f"nats://127.0.0.1:{nats_port}",
        "MYSPINBOT_NATS_SEED": str(seeds[service.role]),
        "MYSPINBOT_ADMIN_HOST": LOOPBACK,
        "MYSPINBOT_ADMIN_PORT": str(service.admin_port),
    }

    async def ready() -> bool:
        return await answers_ok(service.http_port or service.admin_port, "/ready", service.host)

    return Program(
        name=service.name,
        command=[sys.executable, "-m", f"{service.module}.main"],
        environment={**environment, **common, **service.settings},
        folder=home.run,
        ready=ready,
        ties=Ties(needs=(NATS,), uses=service.uses),
    )
