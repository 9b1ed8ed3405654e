"""A real S3 server for tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servicekit.objects import StoreAddress

from tests.support.broker import binary
from tests.support.ports import free_ports

STRANGER = {"access_key": "STRANGER", "secret_key": "strangersecret"}
"""How somebody else than our services signs in."""


@dataclass(slots=True)
class ObjectServer:
    """A SeaweedFS that can be killed and started again on the same ports and data."""

    address: StoreAddress
    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        _await_ready(self.address, self.folder)

    def signal(self, number: int) -> None:
        """Such as SIGSTOP, after which it takes connections and never answers."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[StoreAddress]:
    """A running SeaweedFS with one bucket, and its address."""
    with object_server(folder) as server:
        yield server.address


@contextlib.contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    """A running SeaweedFS with one bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = free_ports(5)
    address = StoreAddress(f"http://127.0.0.1:{ports[0]}", "myspinbot", "TESTKEY", "testsecret")
    keys = {"access_key": address.access_key, "secret_key": address.secret_key}
    identities = [_identity("test", **keys), _identity("stranger", **STRANGER)]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
    command = [
        binary("weed"),
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.config={config}",
        f"-bucket={address.bucket}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.localSocket={folder / 's3.sock'}",
        "-admin.ui=false",
        "-webdav=false",
        "-volume.preStopSeconds=0",
        "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    (folder / "data").mkdir(exist_ok=True)
    server = ObjectServer(address, folder, command)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _identity(name: str, access_key: str, secret_key: str) -> dict[str, Any]:
    return {
        "name": name,
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }


def _await_ready(address: StoreAddress, folder: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            url = f"{address.endpoint}/{address.bucket}"
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - a loopback address
                return
        except urllib.error.HTTPError as error:
            # 403: it asks who we are, and so it is there. 404: the bucket is still to come.
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the object store did not start: see {folder / 'weed.log'}")
