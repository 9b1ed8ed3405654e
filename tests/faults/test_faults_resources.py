"""What runs out: room on a disk, files that may be open, and the patience of clients."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from contracts.job import JobStatus

from tests.faults.oracle import judge, state_at_end
from tests.faults.site import Site, count, prepare, running_site, until, visit

pytestmark = [pytest.mark.long, pytest.mark.alone]

CLIENTS = 1000


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in a folder, with little room."""
    folder.mkdir(parents=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def test_a_full_scratch_disk_fails_the_stage_with_a_cause_and_nothing_else(tmp_path: Path) -> None:
    async def fill(site: Site) -> None:
        async with visit(site) as at:
            job = await at.ask("fills", count("one", does="fill"))
            state = await state_at_end(at, job)
            assert state.failure is not None
            assert "disk" in state.failure.cause + state.failure.remedy
            # What one stage has made can be more than there is room for in the next.
            second = {**count("two"), "inputs": {"x": {"stage": "one", "output": "count"}}}
            large = await at.ask("large", count("one", size=12 << 20), second)
            state = await state_at_end(at, large)
            assert state.failure is not None
            assert state.failure.code == "disk-full"
            await judge(at, {job: JobStatus.FAILED, large: JobStatus.FAILED})
            # The room that it took is there again.
            await at.ask("after", count("one"))
            await judge(at)

    with (
        small_disk(tmp_path / "small", "8m") as disk,
        running_site(tmp_path / "site", own={"runner": {"SCRATCH": str(disk)}}) as site,
    ):
        asyncio.run(fill(site))


def test_a_full_disk_under_the_database_is_waited_for(tmp_path: Path) -> None:
    async def fill(site: Site, disk: Path) -> None:
        async with visit(site) as at:
            fill_up(disk)
            for number in range(10):
                await at.ask(f"kept-{number}", count("one"))
            await until(lambda: "database" in site.waits_for("projector"))
            enlarge(disk, "64m")
            await judge(at)

    with small_disk(tmp_path / "small", "4m") as disk:
        database = f"sqlite+aiosqlite:///{disk}/views.db"
        with running_site(tmp_path / "site", database=database) as site:
            asyncio.run(fill(site, disk))


def test_a_full_disk_under_the_log_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    async def fill(site: Site, disk: Path) -> None:
        async with visit(site) as at:
            await at.ask("before")
            filler = fill_up(disk)
            asking = [asyncio.create_task(at.ask(f"full-{number}")) for number in range(3)]
            log = site.server.folder / "nats.log"
            await until(lambda: "no space left" in log.read_text())
            enlarge(disk, "256m")
            filler.unlink()
            # JetStream may be off for good once it could not write, until its server starts again.
            site.server.kill()
            await asyncio.to_thread(site.server.start)
            await prepare(site)
            await asyncio.gather(*asking)
            await judge(at)

    with (
        small_disk(tmp_path / "site" / "nats" / "jetstream", "48m") as disk,
        running_site(tmp_path / "site") as site,
    ):
        asyncio.run(fill(site, disk))


def fill_up(disk: Path) -> Path:
    """Take all the room that there is; returns the file that has it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("resources")) as running:
        yield running


@pytest.mark.parametrize("service", ["gateway", "planner", "projector", "runner"])
async def test_a_service_without_files_to_open_goes_on_when_there_are_some(
    site: Site, service: str
) -> None:
    process = site.programs[service].process
    assert process is not None
    limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    taken = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    async with visit(site) as at:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (taken, limits[1]))
        asking = asyncio.create_task(at.ask(f"files-{service}"))
        await asyncio.sleep(3)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        if process.poll() is not None:
            # It may end by that, and is started again as it is everywhere.
            await site.start(service)
        await asking
        await judge(at)


async def test_a_thousand_clients_that_never_read_keep_nobody_from_a_job(site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * CLIENTS:
        pytest.skip("this machine does not let us open so many connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address = urlsplit(site.url)
    silent: list[socket.socket] = []
    try:
        async with visit(site) as at:
            first = await at.ask("watched", count("one", steps=10, pause_s=0.1))
            for _ in range(CLIENTS):
                client = socket.create_connection((address.hostname, address.port), timeout=30)
                client.sendall(
                    f"GET /api/jobs/{first}/events HTTP/1.1\r\nHost: {address.netloc}\r\n"
                    "Accept: text/event-stream\r\n\r\n".encode()
                )
                silent.append(client)
            await asyncio.gather(*(at.ask(f"beside-{number}") for number in range(3)))
            await judge(at)
    finally:
        for client in silent:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
