"""The children of a runner: one for each stage, and one at hand for stages that end in a blink.

To start a process and load what speaks to the runner takes a quarter of a second of a processor,
which is nothing for a training and nearly all of a stage that only writes a few words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from gpu_runner import protocol
from gpu_runner.process import Child, StageProcess

C = TypeVar("C", bound=Child)


class Nursery(Protocol[C]):
    """Where an attempt has its child from."""

    async def start(self, folder: Path, task: protocol.Task, threads: int, *, light: bool) -> C: ...

    async def release(self, process: C) -> None: ...

    async def aclose(self) -> None: ...


class Children:
    """Starts children, and takes back those that may serve again."""

    def __init__(self) -> None:
        self._at_hand: list[StageProcess] = []

    async def start(
        self, folder: Path, task: protocol.Task, threads: int, *, light: bool
    ) -> StageProcess:
        """A child that does a task in its folder; a light one in a process that has done others."""
        if not light:
            return await StageProcess.start(folder, task, threads)
        while self._at_hand:
            process = self._at_hand.pop()
            try:
                await process.begin(folder, task)
            except ConnectionError:
                # It died while nobody looked.
                await process.kill()
            else:
                return process
        process = await StageProcess.start_staying()
        await process.begin(folder, task)
        return process

    async def release(self, process: StageProcess) -> None:
        """The stage has ended, in whatever way: end its process, or keep it for the next one."""
        if process.at_hand:
            self._at_hand.append(process)
        else:
            await process.kill()

    async def aclose(self) -> None:
        """End those that are at hand."""
        while self._at_hand:
            await self._at_hand.pop().kill()
