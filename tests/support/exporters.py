"""Programs of others that tell metrics to Prometheus, started as a deployment starts them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.compose import ROOT, services
from tests.support.ports import free_ports
from tests.support.postgres import postgres
from tests.support.programs import required


@contextlib.contextmanager
def node_exporter() -> Iterator[int]:
    """The exporter of this machine's file systems; its port."""
    program = required("prometheus-node-exporter", "prometheus-node-exporter")
    with _listening(
        [program, "--collector.disable-defaults", "--collector.filesystem"], {}
    ) as port:
        yield port


@contextlib.contextmanager
def postgres_exporter(folder: Path) -> Iterator[int]:
    """The exporter beside a real PostgreSQL, both with the settings of compose.yml; its port.

    Debian's 0.11.1 tells `pg_stat_database_numbackends` by the name and with the labels, `datid`
    and `datname`, that 0.20 of compose.yml has (collector/pg_stat_database.go), and with `server`.
    """
    program = required("prometheus-postgres-exporter", "prometheus-postgres-exporter")
    told = dict(services()["postgres-exporter"]["environment"])
    folder.mkdir()
    password = folder / "password"
    password.write_text(secrets.token_urlsafe(32))
    config = ROOT / "deploy/postgres/postgresql.conf"
    with postgres(config, told["DATA_SOURCE_USER"]) as server:
        address, rest = told["DATA_SOURCE_URI"].split("/")
        database = rest.split("?")[0]
        assert address == "postgres:5432"
        asyncio.run(server.new_database(database))
        told["DATA_SOURCE_URI"] = f"127.0.0.1:{server.port}/{rest}"
        told["DATA_SOURCE_PASS_FILE"] = str(password)
        with _listening([program], told) as port:
            yield port


@contextlib.contextmanager
def _listening(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    [port] = free_ports(1)
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)
