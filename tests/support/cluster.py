"""Three real nats-servers on loopback that are one broker, configured by the files for Kubernetes.

Only addresses and folders differ from what is deployed there.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eventlog.broker import BrokerAddress
from eventlog.server_config import ensure_seeds, public_key, render_users

from tests.support.broker import binary
from tests.support.ports import free_ports

_K8S = Path(__file__).parents[2] / "deploy" / "k8s"


@dataclass(slots=True)
class Server:
    """One of them; it can be killed and started again on the same port and data."""

    name: str
    port: int
    folder: Path
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary("nats-server"), "-c", str(self.folder / "server.conf")],
                env={**os.environ, **self.variables, "NATS_SERVER_NAME": self.name},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """The servers, and the keys of their users."""

    servers: tuple[Server, ...]
    seeds: dict[str, Path]

    @property
    def url(self) -> str:
        """All their addresses, as a service is given them."""
        return ",".join(f"nats://127.0.0.1:{server.port}" for server in self.servers)

    def address(self, role: str) -> BrokerAddress:
        return BrokerAddress(self.url, role, self.seeds[role])

    def named(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)


@contextlib.contextmanager
def broker_cluster(folder: Path) -> Iterator[Cluster]:
    """Three running servers; streams are for the caller to make, once they have found together."""
    seeds = ensure_seeds(folder / "nkeys")
    users = render_users({role: public_key(path.read_bytes()) for role, path in seeds.items()})
    names = ("nats-0", "nats-1", "nats-2")
    clients, routes, monitors = free_ports(3), free_ports(3), free_ports(3)
    # A password that would be taken for a number if it were not quoted.
    variables = {"NATS_ROUTE_PASSWORD": '"0123e45"'} | {
        f"NATS_ROUTE_{index}": f'"nats://route:0123e45@127.0.0.1:{route}"'
        for index, route in enumerate(routes)
    }
    servers = []
    for index, name in enumerate(names):
        own = folder / name
        own.mkdir(parents=True)
        (own / "users.conf").write_text(users)
        (own / "server.conf").write_text(
            _replaced(
                (_K8S / "base/nats/server.conf").read_text(),
                {r"^pid_file: .*$": f"pid_file: {own / 'nats.pid'}"},
            )
        )
        (own / "cluster.conf").write_text(
            _replaced(
                (_K8S / "overlays/cluster/cluster.conf").read_text(),
                {r"listen: .*$": f"listen: 127.0.0.1:{routes[index]}"},
            )
        )
        (own / "nats.conf").write_text(
            _replaced(
                (_K8S / "base/nats/nats.conf").read_text(),
                {
                    r"^host: .*$": "host: 127.0.0.1",
                    r"^port: .*$": f"port: {clients[index]}",
                    r"^http: .*$": f"http: 127.0.0.1:{monitors[index]}",
                    r"store_dir: .*$": f"store_dir: {own / 'data'}",
                    # The three share one small disk here.
                    r"max_file: .*$": "max_file: 1GB",
                },
            )
        )
        servers.append(Server(name, clients[index], own, variables))
    try:
        for server in servers:
            server.start()
        yield Cluster(tuple(servers), seeds)
    finally:
        for server in servers:
            server.kill()


def _replaced(text: str, changes: dict[str, str]) -> str:
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count, f"the configuration has no {pattern}"
    return text
