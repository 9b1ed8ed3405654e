"""The broker of the embedded stack: a real nats-server, with a user of its own for each service."""

from __future__ import annotations

from pathlib import Path

from eventlog.broker import BrokerAddress, connect
from eventlog.errors import EventLogError
from eventlog.server_config import ensure_seeds, public_key, render
from eventlog.topology import ensure, told_of_newer

from myspinbot.embedded.binaries import NATS_PROGRAM, binary
from myspinbot.embedded.home import Home, write_private
from myspinbot.embedded.probe import answers_ok
from myspinbot.embedded.processes import Program
from myspinbot.embedded.supervisor import Tell

NATS = "nats"
"""The name of the part."""


def program(
    home: Home,
    port: int,
    monitor_port: int,
    environment: dict[str, str],
    tell: Tell,
    *,
    to_be_filled: bool = False,
) -> Program:
    """The broker; it counts as ready when its streams are there.

    One that is `to_be_filled` from a backup gets no streams, and syncs what it writes at its end.
    """
    seeds = seed_files(home)
    config = home.run / "nats.conf"
    write_private(
        config,
        render(
            host="127.0.0.1",
            port=port,
            monitor_port=monitor_port,
            store=home.data / "jetstream",
            users={role: public_key(path.read_bytes()) for role, path in seeds.items()},
            sync_interval="10m" if to_be_filled else "always",
        ),
    )
    admin = BrokerAddress(f"nats://127.0.0.1:{port}", "admin", seeds["admin"])

    async def ready() -> bool:
        if not await answers_ok(monitor_port, "/healthz"):
            return False
        if to_be_filled:
            return True
        broker = await connect(admin)
        try:
            if newer := await ensure(broker):
                tell("broker.streams_newer", detail=told_of_newer(newer))
        except EventLogError as error:
            tell("broker.streams_refused", detail=str(error))
            return False
        finally:
            await broker.close()
        return True

    return Program(
        name=NATS,
        command=[binary(NATS_PROGRAM), "-c", str(config)],
        environment=environment,
        folder=home.run,
        ready=ready,
    )


def seed_files(home: Home) -> dict[str, Path]:
    """The seed file of each role, made where it is missing."""
    return ensure_seeds(seed_folder(home))


def seed_folder(home: Home) -> Path:
    """Where they are."""
    return home.keys / "nats"
