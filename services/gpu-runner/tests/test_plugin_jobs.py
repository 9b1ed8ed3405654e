"""A plug-in in a real runner: its engine is announced, chosen by name, run, refused and resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contracts.graph import RetryPolicy, Stage
from contracts.job import JobStatus
from gpu_runner.main import serve
from plugin_support import write_plugin
from servicekit.objects import StoreAddress
from servicekit.service import Service
from servicekit.settings import Environment

from conftest import World, environment_of

COUNTER = """
first = int((Path(job["resume"]) / "step").read_text()) if job["resume"] else 0
for step in range(first + 1, 5):
    say("progress", done=step, total=4, unit="step")
    if step == 2 and not first and job["params"]["dies"]:
        kept = Path(job["scratch"]) / "kept"
        kept.mkdir()
        (kept / "step").write_text("2")
        say("checkpoint", directory=str(kept), step=2)
        while kept.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
(output / "counted.txt").write_text(f"{first}..{step}")
say("done", outputs={"counted": ["counted.txt"]}, metrics={"first": first})
"""
PARAMETERS = """
checkpoints = true
[parameters.properties.dies]
type = "boolean"
default = false
"""
QUICK = RetryPolicy(attempts=2, first_delay_s=0.05)


@pytest.fixture
async def plugged(
    world: World, store_address: StoreAddress, tmp_path: Path
) -> AsyncIterator[World]:
    """A world with a second runner that has a plug-in, and a broken one beside it."""
    write_plugin(tmp_path / "plugins" / "own", COUNTER, PARAMETERS, name="own")
    (tmp_path / "plugins" / "broken").mkdir()
    (tmp_path / "plugins" / "broken" / "plugin.toml").write_text("not TOML")
    settings = environment_of(world.server, store_address, "runner") | {
        "MYSPINBOT_RUNNER_ID": "second",
        "MYSPINBOT_SCRATCH": str(tmp_path / "second"),
        "MYSPINBOT_HOME": str(tmp_path / "home"),
        "MYSPINBOT_PLUGINS": str(tmp_path / "plugins"),
    }
    runner = asyncio.create_task(serve(Service("gpu-runner", Environment(settings))))
    yield world
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)


def counted(**params: object) -> Stage:
    return Stage(id="count", kind="greet", engine="own", params=params, retry=QUICK)


async def test_a_job_that_names_a_plug_in_is_done_by_it(plugged: World) -> None:
    state = await plugged.end_of(await plugged.ask(counted()))
    assert state.status is JobStatus.COMPLETED
    [artifact] = state.results()["counted"]
    assert await plugged.store.get(artifact) == b"0..4"


async def test_a_plug_in_that_dies_goes_on_from_its_checkpoint(plugged: World) -> None:
    state = await plugged.end_of(await plugged.ask(counted(dies=True)))
    assert state.status is JobStatus.COMPLETED
    assert state.stages["count"].metrics == {"first": 2}


async def test_wrong_parameters_of_a_plug_in_fail_the_job_with_what_is_wrong(
    plugged: World,
) -> None:
    state = await plugged.end_of(await plugged.ask(counted(dies="perhaps")))
    assert state.status is JobStatus.FAILED
    assert state.failure is not None
    assert (state.failure.code, "dies" in state.failure.cause) == ("invalid-params", True)
