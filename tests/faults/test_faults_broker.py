"""The broker is frozen or killed while jobs run, or its files are not what they were."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts import events as e
from contracts import subjects
from tests.faults.oracle import judge
from tests.faults.proxy import CALM
from tests.faults.site import MODULES, Site, count, prepare, running_site, until, visit

pytestmark = [pytest.mark.long, pytest.mark.alone]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path) as running:
        yield running


async def test_jobs_go_on_after_the_broker_was_frozen_silent_cut_off_and_killed(
    site: Site,
) -> None:
    async with visit(site) as at:
        for fault in ("frozen", "silent", "cut", "killed"):
            job = await at.ask(fault, count("one", steps=10, pause_s=0.1), count("two"))
            await at.until_told(job, "StageStarted")
            match fault:
                case "frozen":
                    assert site.server.process is not None
                    site.server.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(3)
                    site.server.process.send_signal(signal.SIGCONT)
                case "silent":
                    for name in MODULES:
                        site.ways[f"{name}-broker"].becomes(silent=True)
                    await asyncio.sleep(3)
                    for name in MODULES:
                        site.ways[f"{name}-broker"].weather = CALM
                case "cut":
                    for name in MODULES:
                        site.ways[f"{name}-broker"].cut_all()
                case _:
                    site.server.kill()
                    await asyncio.to_thread(site.server.start)
                    await prepare(site)
            await judge(at)


def truncated(block: Path) -> None:
    """As a power cut or a full disk may leave it: the end is missing."""
    block.write_bytes(block.read_bytes()[: block.stat().st_size // 2])


def flipped(block: Path) -> None:
    """As a bad disk may give it back: one bit in its middle is another."""
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 1
    block.write_bytes(content)


async def damaged(site: Site, damage: Callable[[Path], None]) -> None:
    """A log of some jobs of which something is lost while its server was down."""
    async with visit(site) as at:
        for number in range(3):
            await at.ask(f"kept-{number}")
        await judge(at)
        before = int((await at.broker.api(f"STREAM.INFO.{subjects.JOBS}"))["state"]["messages"])
    site.server.kill()
    [block] = (site.server.folder / "jetstream").glob(f"**/streams/{subjects.JOBS}/msgs/*.blk")
    damage(block)
    # What the server has noted of the block's state would hide what the block says.
    (block.parent / "index.db").unlink(missing_ok=True)
    await asyncio.to_thread(site.server.start)
    async with visit(site) as at:
        info = await at.broker.api(f"STREAM.INFO.{subjects.JOBS}")
        assert int(info["state"]["messages"]) < before, "the damage did none"


def operator_is_told(site: Site, name: str) -> list[str]:
    return [what for what in site.waits_for(name) if "operator" in what]


@pytest.mark.parametrize("damage", [truncated, flipped])
async def test_services_at_work_refuse_a_log_that_has_lost_events(
    site: Site, damage: Callable[[Path], None]
) -> None:
    await damaged(site, damage)
    for name in ("projector", "planner"):
        await until(lambda name=name: bool(operator_is_told(site, name)))
        [told] = operator_is_told(site, name)
        assert "restore" in told


async def test_who_is_started_again_on_a_log_that_has_shrunk_still_refuses_it(site: Site) -> None:
    await damaged(site, flipped)
    await until(lambda: bool(operator_is_told(site, "planner")))
    for name in ("planner", "projector"):
        site.programs[name].kill()
        site.launch(name)
    await until(lambda: bool(operator_is_told(site, "planner")))
    await until(lambda: bool(operator_is_told(site, "projector")))


async def test_views_do_not_go_on_when_a_log_has_grown_to_where_it_was(site: Site) -> None:
    await damaged(site, truncated)
    await until(lambda: bool(operator_is_told(site, "projector")))
    site.programs["planner"].kill()
    [halted] = operator_is_told(site, "projector")
    seen = int(re.findall(r"have seen event (\d+)", halted)[0])
    async with visit(site) as at:
        # Somebody goes on with what is left of it.
        while (await at.log.position()).last_sequence <= seen:
            await at.log.tell("other", e.JobCancelRequested(by="me"))
    looks = site.programs["projector"].log.read_text().count('"broker.reconnected"')
    site.server.kill()
    await asyncio.to_thread(site.server.start)
    await until(
        lambda: site.programs["projector"].log.read_text().count('"broker.reconnected"') > looks
    )
    # It looks again every two seconds.
    await asyncio.sleep(5)
    assert operator_is_told(site, "projector")
    assert not site.said("projector", '"projector.resumed"')
