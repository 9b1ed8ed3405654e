"""A real Traefik for tests, with the configuration of a deployment and other ports."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from myspinbot.provision.layout import Layout
from myspinbot.provision.making import Wanted, provision

from tests.support.broker import binary
from tests.support.ports import free_ports

DOMAIN = "bot.example.org"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "traefik"


@dataclass(frozen=True, slots=True)
class Traefik:
    """A Traefik that runs, and how to reach it."""

    http_port: int
    https_port: int
    metrics_port: int
    layout: Layout
    log: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """Believes the installation's own authority, and nobody else."""
        return ssl.create_default_context(cafile=self.layout.authority)

    @property
    def operator(self) -> tuple[str, str]:
        """Name and password of an operator."""
        return "operator", self.layout.word("traefik/password").read_text()

    def accesses(self) -> list[dict[str, Any]]:
        """The lines of the access log so far."""
        lines = map(json.loads, filter(None, self.log.read_text().splitlines()))
        return [line for line in lines if "DownstreamStatus" in line]


def static_configuration(ports: tuple[int, int, int], dynamic: Path, collector: str) -> str:
    """The deployment's own, with these ports for http, https and metrics."""
    config = yaml.safe_load((CONFIGURATION / "traefik.yml").read_text())
    for name, port in zip(("web", "websecure", "metrics"), ports, strict=True):
        config["entryPoints"][name]["address"] = f"127.0.0.1:{port}"
    config["providers"]["file"]["directory"] = str(dynamic)
    config["tracing"]["otlp"]["http"]["endpoint"] = collector
    return str(yaml.safe_dump(config))


@contextlib.contextmanager
def traefik(folder: Path, *, collector: str, **settings: str) -> Iterator[Traefik]:
    """Traefik with a freshly provisioned domain; `settings` are environment variables."""
    folder.mkdir(parents=True)
    layout = Layout(folder / "secrets")
    provision(layout, Wanted(DOMAIN, datetime.now(UTC)))
    # As compose mounts them.
    mounted = folder / "mounted"
    mounted.mkdir()
    for name, path in (
        ("myspinbot.crt", layout.certificate),
        ("myspinbot.key", layout.key),
        ("traefik_users", layout.basic_users),
    ):
        (mounted / name).symlink_to(path)
    http, https, metrics = free_ports(3)
    config = folder / "traefik.yml"
    text = static_configuration((http, https, metrics), CONFIGURATION / "dynamic", collector)
    config.write_text(text)
    log = folder / "traefik.log"
    environment = {
        **os.environ,
        "MYSPINBOT_DOMAIN": DOMAIN,
        "MYSPINBOT_SECRETS": str(mounted),
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary("traefik"), f"--configfile={config}"],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        running = Traefik(http, https, metrics, layout, log)
        _await_start(process, running)
        yield running
    finally:
        # It would wait for connections that tests have left open.
        process.kill()
        process.wait()


def _await_start(process: subprocess.Popen[bytes], running: Traefik) -> None:
    """Until it has read the names and certificates too, which it does after it has begun."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        # A handshake that fails is an OSError as well.
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{running.metrics_port}/ping", timeout=1),
            socket.create_connection(("127.0.0.1", running.https_port), timeout=1) as plain,
            running.trust.wrap_socket(plain, server_hostname=f"app.{DOMAIN}"),
        ):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Traefik did not start:\n{running.log.read_text()[-3000:]}")
