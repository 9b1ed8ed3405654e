"""The gateway as a process of its own, with a real broker, object store and projector."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eventlog.broker import connect
from eventlog.topology import ensure
from servicekit.objects import StoreAddress

from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import ObjectServer, object_server
from tests.support.ports import free_ports
from tests.support.service import Program
from tests.support.views import assert_views_match_log


@dataclass(slots=True)
class Stack:
    """Everything that a gateway needs, and the gateway."""

    server: NatsServer
    objects: ObjectServer
    projector: Program
    gateway: Program
    url: str
    folder: Path
    programs: list[Program] = field(default_factory=list)

    @property
    def store(self) -> StoreAddress:
        """Where the object store is."""
        return self.objects.address

    def processes(self) -> tuple[int, ...]:
        """Which processes it consists of now: others, once one of them was killed."""
        parts = (self.server, self.objects, self.projector, self.gateway)
        return tuple(part.process.pid if part.process else 0 for part in parts)

    def assert_views_match_log(self) -> None:
        """Fail unless the live views are, row by row, what the log makes of them."""
        views = self.projector.environment["MYSPINBOT_DATABASE_URL"]
        asyncio.run(assert_views_match_log(self.server.address("projector"), views))


@contextlib.contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    with nats_server(folder / "nats") as server, object_server(folder / "weed") as objects:
        store = objects.address
        asyncio.run(make_streams(server))
        http, admin = free_ports(2)
        (folder / "spans").mkdir()
        common = {
            "MYSPINBOT_NATS_URL": server.address("gateway").url,
            "MYSPINBOT_SPANS_DIR": str(folder / "spans"),
        }
        projector = Program(
            "projector.main",
            common
            | {
                "MYSPINBOT_NATS_SEED": str(server.seeds["projector"]),
                "MYSPINBOT_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/views.db",
                "MYSPINBOT_ADMIN_PORT": str(admin),
            },
            f"http://127.0.0.1:{admin}/ready",
            folder / "projector.log",
        )
        gateway = Program(
            "gateway.main",
            common
            | {
                "MYSPINBOT_NATS_SEED": str(server.seeds["gateway"]),
                "MYSPINBOT_S3_ENDPOINT": store.endpoint,
                "MYSPINBOT_S3_ACCESS_KEY": store.access_key,
                "MYSPINBOT_S3_SECRET_KEY": store.secret_key,
                "MYSPINBOT_HTTP_PORT": str(http),
                "MYSPINBOT_ALLOWED_HOSTS": "bot.example",
                "MYSPINBOT_WEBHOOK_RETRIES_S": "0.2,0.4,0.8",
                "MYSPINBOT_WEBHOOK_TIMEOUT_S": "3",
                "MYSPINBOT_LIMIT_PHOTOS": "4",
                "MYSPINBOT_LIMIT_PHOTO_BYTES": "12000000",
            },
            f"http://127.0.0.1:{http}/ready",
            folder / "gateway.log",
        )
        stack = Stack(server, objects, projector, gateway, f"http://127.0.0.1:{http}", folder)
        try:
            projector.start()
            gateway.start()
            yield stack
            # Whatever the tests broke on the way, the views are what the log makes of them.
            stack.assert_views_match_log()
        finally:
            gateway.kill()
            projector.kill()


@contextlib.contextmanager
def another_gateway(stack: Stack, name: str, **settings: str) -> Iterator[str]:
    """A gateway beside the stack's own, with other settings; gives its address."""
    (port,) = free_ports(1)
    own = {f"MYSPINBOT_{key}": value for key, value in settings.items()}
    program = Program(
        "gateway.main",
        {**stack.gateway.environment, "MYSPINBOT_HTTP_PORT": str(port), **own},
        f"http://127.0.0.1:{port}/ready",
        stack.folder / f"{name}.log",
    )
    try:
        program.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()


async def make_streams(server: NatsServer) -> None:
    """As an installation does whenever its broker has started."""
    admin = await connect(server.address("admin"))
    await ensure(admin)
    await admin.close()
