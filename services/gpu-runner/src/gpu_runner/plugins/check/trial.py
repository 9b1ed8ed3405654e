"""One run of a plug-in, in the process in which a runner would run it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.stagelog import Level

from gpu_runner import protocol
from gpu_runner.plugins.found import HOST
from gpu_runner.plugins.host import JOB_VARIABLE
from gpu_runner.plugins.manifest import Plugin
from gpu_runner.process import StageProcess

_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a plug-in is given. Each trial has a folder of its own."""

    plugin: Plugin
    folder: Path
    inputs: Mapping[str, list[Path]]
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 7
    device: str = "cpu"
    threads: int = 1
    resume: Path | None = None

    async def start(self) -> StageProcess:
        """Start it as a runner does."""
        output, scratch = self.folder / "output", self.folder / "scratch"
        output.mkdir(parents=True)
        scratch.mkdir()
        task = protocol.Task(
            module=HOST,
            params_module=HOST,
            params_class="Params",
            params=dict(self.params),
            inputs=dict(self.inputs),
            output=output,
            scratch=scratch,
            resume=self.resume,
            device=self.device,
            seed=self.seed,
            plugin=self.plugin.folder,
        )
        return await StageProcess.start(self.folder, task, self.threads)

    def remains(self) -> Iterator[int]:
        """Processes of this trial that still run, where the system lists them (Linux)."""
        mark = f"{JOB_VARIABLE}={self.folder}/".encode()
        for place in _PROCESSES.glob("[0-9]*/environ"):
            try:
                if mark in place.read_bytes():
                    yield int(place.parent.name)
            except OSError:
                # It has ended meanwhile, or is another user's.
                continue


@dataclass(slots=True)
class Course:
    """What was heard of a trial."""

    progress: list[float] = field(default_factory=list)
    checkpoints: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    ending: protocol.Done | protocol.Failed | None = None

    def note(self, message: protocol.Message) -> None:
        """Keep what will be judged."""
        match message:
            case protocol.Progress(done=done, total=total):
                self.progress.append(done / total)
            case protocol.Line(level=Level.WARNING | Level.ERROR, message=words):
                self.complaints.append(words)
            case protocol.Done() | protocol.Failed():
                self.ending = message


async def run(trial: Trial, within_s: float) -> Course:
    """Run it to its end; a course without an ending if it takes longer than `within_s`."""
    course = Course()
    process = await trial.start()
    try:
        async with asyncio.timeout(within_s):
            async for message in process.messages():
                course.note(message)
    except TimeoutError:
        course.ending = None
    finally:
        await process.kill()
    return course


async def kill_early(trial: Trial, within_s: float) -> list[int]:
    """Kill it at its first progress, or when it ends; the processes that outlive that."""
    process = await trial.start()
    try:
        async with asyncio.timeout(within_s):
            async for message in process.messages():
                if isinstance(message, protocol.Progress):
                    break
    finally:
        await process.kill()
    async with asyncio.timeout(within_s):
        # The kernel takes a moment to end what was killed.
        for _ in range(20):
            if not (left := list(trial.remains())):
                break
            await asyncio.sleep(0.1)
    for pid in left:
        os.kill(pid, 9)
    return left


async def stop_for_checkpoint(trial: Trial, within_s: float, keep: Path) -> bool:
    """Ask for a checkpoint at the first progress, and end it; whether one came, now in `keep`."""
    process = await trial.start()
    asked = False
    try:
        async with asyncio.timeout(within_s):
            async for message in process.messages():
                if isinstance(message, protocol.Progress) and not asked:
                    asked = True
                    process.ask_checkpoint()
                if isinstance(message, protocol.Checkpointed) and message.asked_for:
                    shutil.copytree(message.directory, keep)
                    return True
    except TimeoutError:
        return False
    finally:
        await process.kill()
    return False
