"""Processes that run stages, and those of them that run several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import count
from pathlib import Path

import pytest
from gpu_runner import protocol
from gpu_runner.children import Children
from gpu_runner.process import StageProcess

_NUMBERS = count()


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    async with aclosing(Children()) as made:
        yield made


async def started(
    children: Children, folder: Path, does: str = "count", *, light: bool = True
) -> StageProcess:
    own = folder / str(next(_NUMBERS))
    for each in (own / "output", own / "scratch"):
        each.mkdir(parents=True)
    task = protocol.Task(
        module="tests.support.engines",
        params_module="tests.support.engines",
        params_class="Params",
        params={"does": does},
        inputs={},
        output=own / "output",
        scratch=own / "scratch",
        resume=None,
        device="cpu",
        seed=1,
    )
    return await children.start(own, task, 1, light=light)


async def ending(process: StageProcess) -> protocol.Message:
    async with asyncio.timeout(60):
        return [message async for message in process.messages()][-1]


async def test_light_stages_run_one_after_another_in_one_process(
    children: Children, tmp_path: Path
) -> None:
    seen = set()
    for _ in range(3):
        process = await started(children, tmp_path)
        done = await ending(process)
        assert isinstance(done, protocol.Done)
        assert done.outputs["count"][0].read_text() == "0..3"
        seen.add(process.pid)
        await children.release(process)
    assert len(seen) == 1


async def test_light_stages_side_by_side_have_a_process_each(
    children: Children, tmp_path: Path
) -> None:
    both = [await started(children, tmp_path) for _ in range(2)]
    assert all([isinstance(await ending(process), protocol.Done) for process in both])
    assert len({process.pid for process in both}) == 2


async def test_any_other_stage_has_a_process_of_its_own(children: Children, tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        process = await started(children, tmp_path, light=False)
        assert isinstance(await ending(process), protocol.Done)
        seen.add(process.pid)
        await children.release(process)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("does", "code"), [("refuse", "no-face"), ("crash", "stage-crashed"), ("die", "stage-killed")]
)
async def test_a_stage_that_fails_is_told_and_the_next_is_done(
    does: str, code: str, children: Children, tmp_path: Path
) -> None:
    process = await started(children, tmp_path, does)
    failed = await ending(process)
    assert isinstance(failed, protocol.Failed)
    assert failed.code == code
    await children.release(process)
    after = await started(children, tmp_path)
    assert isinstance(await ending(after), protocol.Done)
    assert (after.pid == process.pid) is (does != "die")


async def test_a_process_whose_stage_is_stopped_serves_no_other(
    children: Children, tmp_path: Path
) -> None:
    process = await started(children, tmp_path, "hang")
    async for message in process.messages():
        assert isinstance(message, protocol.Progress)
        await process.kill()
    await children.release(process)
    after = await started(children, tmp_path)
    assert isinstance(await ending(after), protocol.Done)
    assert after.pid != process.pid


async def test_a_process_that_died_at_hand_is_replaced(children: Children, tmp_path: Path) -> None:
    process = await started(children, tmp_path)
    await ending(process)
    await children.release(process)
    await process.kill()
    after = await started(children, tmp_path)
    assert isinstance(await ending(after), protocol.Done)
    assert after.pid != process.pid
