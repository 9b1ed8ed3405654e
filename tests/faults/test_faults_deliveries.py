"""Services that are frozen or out of time, and messages that come too often or make no sense."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.commands import Lane, StageCommand
from contracts.job import JobStatus
from eventlog.queue import CommandQueue

from contracts import events as e
from contracts import subjects
from tests.faults.oracle import judge, state_at_end
from tests.faults.site import ACK_WAIT_S, PATIENCE_S, Site, Visit, count, running_site, until, visit
from tests.support.programs import required

pytestmark = [pytest.mark.long, pytest.mark.alone]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("deliveries")) as running:
        yield running


async def starts(at: Visit, job: str) -> list[e.StageStarted]:
    return [
        recorded.event
        async for recorded in at.log.read_job(job)
        if isinstance(recorded.event, e.StageStarted)
    ]


async def started_by(at: Visit, job: str, number: int) -> list[e.StageStarted]:
    async with asyncio.timeout(PATIENCE_S):
        while len(told := await starts(at, job)) < number:  # noqa: ASYNC110 - the log is asked
            await asyncio.sleep(0.05)
    return told


async def test_a_zombie_that_wakes_up_after_its_work_was_done_elsewhere_changes_nothing(
    site: Site,
) -> None:
    async with visit(site) as at:
        job = await at.ask("zombie", count("one", steps=40, pause_s=0.1))
        await started_by(at, job, 1)
        site.signal("runner", signal.SIGSTOP)
        await site.another_runner("other")
        told = await started_by(at, job, 2)
        assert [one.runner for one in told] == ["runner", "other"]
        assert [one.attempt for one in told] == [1, 1]
        await state_at_end(at, job)
        site.signal("runner", signal.SIGCONT)
        # The first goes on to where it sees that nobody wants its work.
        async with asyncio.timeout(PATIENCE_S):
            while not (site.said("runner", "stage.stopped") or site.said("runner", "stage.ended")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await judge(at)
        site.retire("other")


async def test_a_runner_that_was_frozen_alone_goes_on_with_what_it_had(site: Site) -> None:
    async with visit(site) as at:
        job = await at.ask("frozen", count("one", steps=20, pause_s=0.05))
        await started_by(at, job, 1)
        site.signal("runner", signal.SIGSTOP)
        await asyncio.sleep(2 * ACK_WAIT_S)
        site.signal("runner", signal.SIGCONT)
        await judge(at)


@pytest.mark.parametrize("service", ["gateway", "planner", "projector"])
async def test_a_service_that_was_frozen_goes_on(site: Site, service: str) -> None:
    async with visit(site) as at:
        await at.ask(f"before-{service}")
        site.signal(service, signal.SIGSTOP)
        asking = asyncio.create_task(at.ask(f"frozen-{service}"))
        await asyncio.sleep(2 * ACK_WAIT_S)
        site.signal(service, signal.SIGCONT)
        await asking
        await judge(at)


async def test_commands_that_come_ten_times_are_done_once(site: Site) -> None:
    async with visit(site) as at:
        queue, job = CommandQueue(at.broker), await at.ask("often")
        state = await state_at_end(at, job)
        for name in ("first", "second"):
            stage = state.stages[name]
            command = StageCommand(
                job=job,
                stage=name,
                attempt=stage.attempt,
                kind="count",
                engine="counter",
                lane=Lane.CPU,
                params={},
                inputs={},
                seed=1,
            )
            for _ in range(10):
                async with asyncio.timeout(PATIENCE_S):
                    # As soon as the one before it is off the queue.
                    while not await queue.publish(command, None):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
        before = len(await at.told(job))
        await judge(at)
        assert len(await at.told(job)) == before
        assert len(await starts(at, job)) == 2


async def test_a_command_that_nobody_can_read_fails_its_stage_with_a_cause(site: Site) -> None:
    site.programs["runner"].kill()
    async with visit(site) as at:
        job = await at.ask("poison", count("one"))
        await at.until_told(job, "StageScheduled")
        subject = str(subjects.CommandSubject("count", Lane.CPU, job, "one", 1))
        async with asyncio.timeout(PATIENCE_S):
            while not await at.commands():  # noqa: ASYNC110 - the broker is asked
                await asyncio.sleep(0.02)
        await at.broker.api(f"STREAM.PURGE.{subjects.COMMANDS}", {"filter": subject})
        assert (await at.broker.publish(subject, b"{")).get("error") is None
        await site.start("runner")
        state = await state_at_end(at, job)
        assert state.failure is not None
        assert "cannot be read" in state.failure.cause
        await judge(at, {job: JobStatus.FAILED})


async def test_a_stage_that_takes_all_memory_fails_with_a_cause(site: Site) -> None:
    async with visit(site) as at:
        job = await at.ask("devours", count("one", does="devour"))
        await judge(at, {job: JobStatus.FAILED})


def a_day_off(site: Site, service: str, offset: str) -> None:
    """Let a service believe, whenever it is started from now on, that it is another day."""
    required("faketime", "faketime")
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    program = site.programs[service]
    clock = {"FAKETIME": offset, "LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    site.programs[service] = replace(program, environment={**program.environment, **clock})


@pytest.fixture
async def right_clocks(site: Site) -> AsyncIterator[None]:
    """Clocks are right again after a test."""
    right = {name: program.environment for name, program in site.programs.items()}
    yield
    for name, environment in right.items():
        if site.programs[name].environment != environment:
            site.programs[name].kill()
            site.programs[name] = replace(site.programs[name], environment=environment)
            await site.start(name)


@pytest.mark.parametrize("offset", ["-1d", "+1d"])
@pytest.mark.parametrize("service", ["planner", "projector"])
async def test_a_service_whose_clock_is_a_day_off_does_its_work(
    site: Site, service: str, offset: str, right_clocks: None
) -> None:
    a_day_off(site, service, offset)
    await site.start(service)
    async with visit(site) as at:
        await at.ask(f"clock{offset}{service}")
        await judge(at)


@pytest.mark.parametrize("service", ["gateway", "runner"])
async def test_a_service_that_the_store_refuses_for_its_clock_waits_and_says_why(
    site: Site, service: str, right_clocks: None
) -> None:
    a_day_off(site, service, "-1d")
    site.programs[service].kill()
    site.launch(service)
    await until(lambda: "RequestTimeTooSkewed" in site.programs[service].log.read_text())
    await until(lambda: "objects" in site.waits_for(service))
