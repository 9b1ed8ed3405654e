"""The stages' child processes in the simulated world, and the engines that they run.

A child does what its command's parameters say for its attempt: `endings` names how each attempt is
to end, the last of them for all further ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from contracts.commands import Lane
from gpu_runner import protocol
from gpu_runner.catalogue import Engine

from tests.simulation.lives import Life

KINDS = ("carve", "paint")
DONE, REFUSED, STUMBLED, DIED, HANGS, POISON = (
    "done", "refused", "stumbled", "died", "hangs", "poison",
)  # fmt: skip

ENGINES = {
    (kind, "mini"): Engine(
        kind=kind,
        name="mini",
        version="1",
        title=kind,
        lane=Lane.CPU,
        module="none",
        params_module="none",
        checkpoints=True,
        schema={},
    )
    for kind in KINDS
}


@dataclass(eq=False)
class Child:
    """One child. It ends by itself, or when its runner ends it or dies."""

    life: Life
    task: protocol.Task
    job: str
    stage: str
    attempt: int
    alive: bool = True
    pid: int = 1
    _killed: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: bool = False

    async def messages(self) -> AsyncIterator[protocol.Message]:
        """What it says."""
        try:
            async for message in self._work():
                yield message
                if self._killed.is_set():
                    return
        finally:
            self.alive = False

    async def _work(self) -> AsyncIterator[protocol.Message]:
        params = self.task.params
        endings = params["endings"]
        ending = endings[min(self.attempt, len(endings)) - 1]
        steps, keeps = int(params["steps"]), int(params["keeps"])
        first = 0
        if self.task.resume and params["resumes"]:
            first = int((self.task.resume / "step").read_text())
        for step in range(first + 1, steps + 1):
            if await self._ended_within(params["pause_s"]):
                return
            yield protocol.Progress(done=step, total=steps, unit="step")
            if step == steps // 2 + 1 and ending != DONE:
                break
            if self._asked or (keeps and step % keeps == 0):
                yield self._checkpoint(step, steps)
            if params["shows"] and step == 1:
                yield self._sample(step)
        match ending:
            case "done":
                yield self._done()
            case "refused":
                yield protocol.Failed(code="no-face", cause="no face", remedy="Another photo")
            case "stumbled":
                yield protocol.Failed(code="busy", cause="busy", remedy="None", retryable=True)
            case "died":
                yield protocol.Failed(code="stage-killed", cause="x", remedy="y", retryable=True)
            case "hangs":
                await self._killed.wait()
            case "poison":
                self.life.blown("a stage that takes its runner with it")
                await self._killed.wait()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._killed.wait()
        except TimeoutError:
            return False
        return True

    def _checkpoint(self, step: int, steps: int) -> protocol.Checkpointed:
        folder = self.task.scratch / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "step").write_text(str(step))
        asked, self._asked = self._asked, False
        return protocol.Checkpointed(
            directory=folder, step=step, fraction=step / steps, asked_for=asked
        )

    def _sample(self, step: int) -> protocol.Sampled:
        path = self.task.scratch / f"sample-{step}.txt"
        path.write_text(f"{self.job} {self.stage} {self.attempt}")
        return protocol.Sampled(path=path, caption="a sample", step=step)

    def _done(self) -> protocol.Done:
        path = self.task.output / "made.txt"
        path.write_text(f"{self.job} {self.stage} {self.attempt} {self.life.name}")
        return protocol.Done(outputs={"made": [path]}, metrics={"steps": self.task.params["steps"]})

    def ask_checkpoint(self) -> None:
        """It is to offer a checkpoint soon."""
        self._asked = True

    async def kill(self) -> None:
        """It ends at once."""
        self._killed.set()
        self.alive = False


@dataclass
class Nursery:
    """All children that there ever were."""

    children: list[Child] = field(default_factory=list)

    def of(self, life: Life) -> Family:
        """The children of one runner."""
        return Family(self, life)

    def running(self) -> list[Child]:
        """Those that still compute."""
        return [child for child in self.children if child.alive and not child.life.dead]


@dataclass
class Family:
    """The children of one runner, each with a process of its own, which takes a moment to start."""

    nursery: Nursery
    life: Life

    async def start(
        self, folder: Path, task: protocol.Task, _threads: int, *, light: bool
    ) -> Child:
        """As `gpu_runner.children` does."""
        assert not light
        await asyncio.sleep(0.02)
        job, stage, attempt = folder.name.split(".")
        child = Child(self.life, task, job, stage, int(attempt))
        self.nursery.children.append(child)
        return child

    async def release(self, process: Child) -> None:
        """It serves nobody else."""
        await process.kill()

    async def aclose(self) -> None:
        """None are kept."""
