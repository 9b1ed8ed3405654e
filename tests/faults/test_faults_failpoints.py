"""Each service is killed at each of its failpoints, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.job import JobStatus
from eventlog.queue import MAX_DELIVERIES
from myspinbot.embedded.services import inherited
from servicekit.failpoints import Action, Failpoint, Trap, armed, reached, refuse_elsewhere
from servicekit.settings import Environment, SettingsError

from contracts import subjects
from tests.faults.oracle import judge
from tests.faults.site import ROOT, Site, Visit, count, running_site, visit

pytestmark = [pytest.mark.long, pytest.mark.alone]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("faults")) as running:
        yield running


async def ask_and_cancel(at: Visit, key: str) -> dict[str, JobStatus]:
    """A job whose stage has to be stopped."""
    job = await at.ask(key, count("one", does="hang"))
    await at.until_told(job, "StageStarted")
    answer = await at.client.post(f"/api/jobs/{job}/cancel")
    assert answer.status_code == 202, answer.text
    return {job: JobStatus.CANCELLED}


async def ask_for_poison(at: Visit, key: str) -> dict[str, JobStatus]:
    """A job whose command takes every runner with it: it is taken, and nobody is heard of again."""
    at.site.programs["runner"].kill()
    job = await at.ask(key, count("one"))
    for _ in range(MAX_DELIVERIES):
        async with asyncio.timeout(60):
            while await at.broker.pull(subjects.COMMANDS, "count-cpu", wait_s=1.0) is None:
                pass
    # The broker tells of it when somebody asks for more.
    await at.site.start("runner")
    return {job: JobStatus.FAILED}


async def ask_twice(at: Visit, key: str) -> dict[str, JobStatus]:
    jobs = await asyncio.gather(*(at.ask(f"{key}.{number}") for number in range(2)))
    return dict.fromkeys(jobs, JobStatus.COMPLETED)


WORK = {
    Failpoint.PLANNER_BEFORE_STOP: ask_and_cancel,
    Failpoint.PLANNER_BEFORE_DEAD_LETTER: ask_for_poison,
    Failpoint.PLANNER_AFTER_DEAD_LETTER: ask_for_poison,
}


@pytest.mark.parametrize("point", Failpoint)
async def test_nothing_is_lost_when_a_service_is_killed_there(site: Site, point: Failpoint) -> None:
    service = point.split(".")[0]
    async with visit(site) as at:
        await site.start(service, Trap(point, Action.KILL))
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(WORK.get(point, ask_twice)(at, point))
            await site.died(service)
            await site.start(service)
        await judge(at, await asking)


def test_every_failpoint_is_one_place_in_its_service() -> None:
    used = Counter[str]()
    for source in (ROOT / "services").glob("*/src/**/*.py"):
        service = source.relative_to(ROOT / "services").parts[0].removeprefix("gpu-")
        for name in re.findall(r"await reached\(Failpoint\.(\w+)\)", source.read_text()):
            used[name] += 1
            assert Failpoint[name].startswith(f"{service}."), (name, source)
    assert used == dict.fromkeys(Failpoint.__members__, 1)


def test_without_the_variable_a_failpoint_is_a_function_that_does_nothing() -> None:
    assert armed("") is reached
    assert reached.__code__.co_names == ()  # type: ignore[attr-defined]


def test_the_services_of_an_embedded_stack_are_told_of_no_failpoints() -> None:
    assert inherited({"MYSPINBOT_FAILPOINTS": "runner.taken=kill", "HOME": "/"}) == {"HOME": "/"}


@pytest.mark.parametrize("setting", ["nowhere=kill", "runner.taken=sing", "runner.taken"])
def test_a_failpoint_that_is_none_is_refused(setting: str) -> None:
    values = {"MYSPINBOT_NATS_URL": "nats://127.0.0.1:4222", "MYSPINBOT_FAILPOINTS": setting}
    with pytest.raises(SettingsError, match="MYSPINBOT_FAILPOINTS has"):
        refuse_elsewhere(Environment(values))


@pytest.mark.parametrize("url", ["nats://nats:4222", "nats://127.0.0.1:4222,nats://10.0.0.2:4222"])
@pytest.mark.parametrize("module", ["gateway", "planner", "projector", "gpu_runner"])
def test_a_service_of_an_installation_does_not_start_with_failpoints(
    url: str, module: str, tmp_path: Path
) -> None:
    if module != "planner" and "," in url:
        pytest.skip("what refuses is the same in all of them")
    trap = Trap(Failpoint.PLANNER_BEFORE_APPEND, Action.RAISE)
    refused = subprocess.run(
        [sys.executable, "-m", f"{module}.main"],
        env={"MYSPINBOT_NATS_URL": url, "MYSPINBOT_FAILPOINTS": str(trap), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "is for tests with a broker on the loopback" in refused.stdout + refused.stderr
