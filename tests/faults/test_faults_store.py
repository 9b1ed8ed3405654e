"""The object store is refused, busy, slow, cut off in the middle, or gives back something else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from contracts.job import JobStatus
from servicekit.failpoints import Action, Failpoint, Trap

from tests.faults.oracle import judge, state_at_end
from tests.faults.proxy import CALM, Proxy
from tests.faults.site import Site, count, running_site, until, visit

pytestmark = [pytest.mark.long, pytest.mark.alone]

BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"
)
LARGE = 20 << 20
"""Bytes of a result that is stored in three parts."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("store")) as running:
        yield running


def drop_connections(way: Proxy) -> None:
    """So that the next request makes a new one, and meets the weather."""
    way.cut_all()


@pytest.mark.parametrize(
    "weather",
    [{"refuses": True}, {"replies": BUSY}, {"cut_after": 1 << 20}],
    ids=["refused", "busy", "cut-in-a-part"],
)
async def test_a_result_is_stored_once_the_store_is_well_again(
    site: Site, weather: dict[str, object], request: pytest.FixtureRequest
) -> None:
    way = site.ways["runner-store"]
    late = Trap(Failpoint.RUNNER_BEFORE_OUTPUTS_STORED, Action.DELAY, 1.0)
    await site.start("runner", late)
    async with visit(site) as at:
        job = await at.ask(request.node.name, count("one", steps=1, size=LARGE))
        await until(lambda: site.said("runner", '"failpoint.reached"'))
        before = way.cuts
        way.becomes(**weather)
        drop_connections(way)
        # Its own connections are the first that are cut.
        await until(lambda: way.cuts > before + 3)
        way.weather = CALM
        await judge(at)
        assert (await state_at_end(at, job)).stages["one"].status == "completed"


async def test_a_slow_store_only_takes_longer(site: Site) -> None:
    way = site.ways["runner-store"]
    async with visit(site) as at:
        way.becomes(bytes_per_s=6e6)
        drop_connections(way)
        job = await at.ask("slow", count("one", size=LARGE))
        await judge(at)
        way.weather = CALM
        told = await at.told(job)
        assert "StageFailed" not in told, told


async def test_an_input_that_is_not_what_was_stored_is_noticed_and_its_cause_is_shown(
    site: Site,
) -> None:
    way = site.ways["runner-store"]
    async with visit(site) as at:
        way.becomes(turns_bits=True)
        drop_connections(way)
        job = await at.ask("turned")
        state = await state_at_end(at, job)
        way.weather = CALM
        assert state.failure is not None
        assert "something else than was put in" in state.failure.cause
        await judge(at, {job: JobStatus.FAILED})
        assert "StageCompleted" not in await at.told(job)


async def test_requests_are_refused_while_the_store_is_away_and_leave_nothing_behind(
    site: Site,
) -> None:
    way = site.ways["gateway-store"]
    async with visit(site) as at:
        way.becomes(refuses=True)
        drop_connections(way)
        asking = asyncio.create_task(at.ask("patient"))
        await until(lambda: way.cuts > 8)
        assert not asking.done()
        way.weather = CALM
        await asking
        await judge(at)
