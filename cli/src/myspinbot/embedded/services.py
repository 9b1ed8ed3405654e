"""The four services as programs of the embedded stack: the same as anywhere, by their settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from myspinbot.embedded.home import Home
from myspinbot.embedded.objects import BUCKET, Keys
from myspinbot.embedded.probe import answers_ok
from myspinbot.embedded.processes import Program

GATEWAY, PLANNER, RUNNER, PROJECTOR = "gateway", "planner", "gpu-runner", "projector"

_SECRET = ("NATS_", "S3_", "DATABASE_")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What children get of our environment: all but addresses and credentials of other stacks."""
    ours = tuple(f"MYSPINBOT_{prefix}" for prefix in _SECRET)
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


def programs(
    home: Home,
    ports: Mapping[str, int],
    seeds: Mapping[str, Path],
    keys: Keys,
    environment: Mapping[str, str],
) -> list[Program]:
    """The services, each with the credentials of its own work and no others."""
    objects = {
        "MYSPINBOT_S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
        "MYSPINBOT_S3_BUCKET": BUCKET,
        "MYSPINBOT_S3_ACCESS_KEY": keys.access_key,
        "MYSPINBOT_S3_SECRET_KEY": keys.secret_key,
    }
    web = {"MYSPINBOT_HTTP_HOST": "127.0.0.1", "MYSPINBOT_HTTP_PORT": str(ports["http"])}
    database = {"MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{home.data / 'views.db'}"}

    def service(name: str, module: str, role: str, port: int, own: Mapping[str, str]) -> Program:
        async def ready() -> bool:
            return await answers_ok(port, "/ready")

        common = {
            "MYSPINBOT_NATS_URL": f"nats://127.0.0.1:{ports['nats']}",
            "MYSPINBOT_NATS_SEED": str(seeds[role]),
            "MYSPINBOT_SPANS_DIR": str(home.spans),
            "MYSPINBOT_ADMIN_HOST": "127.0.0.1",
            "MYSPINBOT_ADMIN_PORT": str(port),
        }
        return Program(
            name=name,
            command=[sys.executable, "-m", f"{module}.main"],
            environment={**environment, **common, **own},
            folder=home.run,
            ready=ready,
            needs=("nats",),
        )

    return [
        service(PROJECTOR, "projector", "projector", ports["projector_admin"], database),
        service(PLANNER, "planner", "planner", ports["planner_admin"], {}),
        service(RUNNER, "gpu_runner", "runner", ports["runner_admin"], objects),
        service(GATEWAY, "gateway", "gateway", ports["http"], {**web, **objects}),
    ]
