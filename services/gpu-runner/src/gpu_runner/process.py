"""The runner's hold on a stage's child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Protocol

import structlog
from contracts.stagelog import Level
from pydantic import ValidationError

from gpu_runner import protocol

log = structlog.get_logger(__name__)

# A line carries a stage's metrics; the default limit of 64 KiB would cut a long one.
_LONGEST_LINE = 16 << 20
_CHUNK = 8192
_FRAMES = 12
# More than this is taken from the system at once whatever it is told (glibc's HEAP_MAX / 2).
_LARGEST_FROM_HEAP = 32 << 20
_HEAP_GROWS_BY = 64 << 20
_NEVER = 1 << 30
_KEYS = ("MYSPINBOT_S3_", "MYSPINBOT_NATS_")
_FATAL = re.compile(r"^Fatal Python error: [\w .-]{1,80}$")
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+) in (\S+)$')


def environment(threads: int) -> dict[str, str]:
    """What a child is told besides what its runner was: it may compute with so many threads.

    A stage frees and takes again the same memory thousands of times, frame by frame or step by
    step. Of glibc's allocator it keeps what it freed until it ends, which is soon: otherwise the
    system gives it new pages each time, and fills them with zeros (mallopt(3)).
    """
    return {
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(_LARGEST_FROM_HEAP),
        "MALLOC_TRIM_THRESHOLD_": str(_NEVER),
        "MALLOC_TOP_PAD_": str(_HEAP_GROWS_BY),
    }


def _without_keys(given: Mapping[str, str]) -> dict[str, str]:
    """Without what opens store and broker: a stage asks neither, and reads what users send."""
    return {name: value for name, value in given.items() if not name.startswith(_KEYS)}


class Child(Protocol):
    """What an attempt needs of the process that does its stage."""

    @property
    def pid(self) -> int: ...

    def messages(self) -> AsyncIterator[protocol.Message]: ...

    def ask_checkpoint(self) -> None: ...

    async def kill(self) -> None: ...


class StageProcess:
    """One child. `messages` ends with `Done` or `Failed`, whatever happens to the child.

    One that `stays` takes a task after the other, each from `begin` to the end of `messages`.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, stays: bool = False) -> None:
        self._process = process
        self._stays = stays
        self._ended = False
        self._killed = False
        self._stderr_tail = b""
        self._drained = asyncio.create_task(self._drain())

    @staticmethod
    async def start(folder: Path, task: protocol.Task, threads: int) -> StageProcess:
        """Start the child for a task in its folder, to compute with so many threads."""
        (folder / protocol.TASK_FILE).write_text(task.model_dump_json())
        return StageProcess(await StageProcess._spawn(threads, str(folder)))

    @staticmethod
    async def start_staying() -> StageProcess:
        """Start a child that waits for tasks, to compute with one thread."""
        return StageProcess(await StageProcess._spawn(1), stays=True)

    @staticmethod
    async def _spawn(threads: int, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gpu_runner.child",
            *words,
            stdin=asyncio.subprocess.DEVNULL if words else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            # A group of its own, so that what the child starts is killed with it.
            start_new_session=True,
            env={**_without_keys(os.environ), **environment(threads)},
        )

    async def begin(self, folder: Path, task: protocol.Task) -> None:
        """Give a child that stays its next task. ConnectionError if it is gone."""
        self._ended = False
        self._stderr_tail = b""
        (folder / protocol.TASK_FILE).write_text(task.model_dump_json())
        if self._process.stdin is None:
            raise RuntimeError("the child was not started to stay")
        self._process.stdin.write(f"{folder}\n".encode())
        await self._process.stdin.drain()

    @property
    def at_hand(self) -> bool:
        """Whether it has done its task, and waits for another."""
        alive = self._process.returncode is None and not self._killed
        return self._stays and self._ended and alive

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def messages(self) -> AsyncIterator[protocol.Message]:
        """What the child says, to its end."""
        if self._process.stdout is None:
            raise RuntimeError("the child was started without a pipe")
        async for raw in self._process.stdout:
            try:
                message = protocol.MESSAGE.validate_json(raw)
            except ValidationError:
                log.warning("stage.unreadable_message", length=len(raw))
                continue
            self._ended = self._ended or isinstance(message, protocol.Done | protocol.Failed)
            yield message
            if self._stays and self._ended:
                return
        status = await self._process.wait()
        if not self._ended and not self._killed:
            # What the child had started may still hold the pipe.
            self._kill_group()
            await self._drained
            for words in last_words(self._stderr_tail.decode(errors="replace")):
                yield protocol.Line(level=Level.ERROR, message=words)
            yield _died(status)

    def ask_checkpoint(self) -> None:
        """Ask the child, and nothing that it started, for a checkpoint."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def kill(self) -> None:
        """End the child and all that it started, at once."""
        self._killed = True
        self._kill_group()
        await self._process.wait()
        await self._drained

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        """Keep the end of what libraries print, in case it explains a death.

        It may quote what the user wrote, so only who asks for it (`LOG_LEVEL=DEBUG`) finds it
        in the runner's log.
        """
        if self._process.stderr is None:
            raise RuntimeError("the child was started without a pipe")
        while chunk := await self._process.stderr.read(_CHUNK):
            log.debug("stage.printed", text=chunk.decode(errors="replace"))
            self._stderr_tail = (self._stderr_tail + chunk)[-_CHUNK:]


def last_words(stderr: str) -> Iterator[str]:
    """Where a dying interpreter stood, of all that was printed.

    Anything else that libraries print may quote what the user wrote. The format is that of https://docs.python.org/3/library/faulthandler.html.
    """
    frames = 0
    for line in stderr.splitlines():
        if _FATAL.match(line):
            yield line
        elif (frame := _FRAME.match(line)) and frames < _FRAMES:
            frames += 1
            yield f"in {frame[3]}, {PurePath(frame[1]).name} line {frame[2]}"


def _died(status: int) -> protocol.Failed:
    if status == -signal.SIGKILL:
        return protocol.Failed(
            code="stage-killed",
            cause="the stage's process was killed from outside, most often for lack of memory",
            remedy="Choose a lower quality, or give the machine more memory",
            retryable=True,
        )
    return protocol.Failed(
        code="stage-crashed",
        cause=f"the stage's process ended with status {status} and no word",
        remedy="See the stage's log; if it happens again, report it",
        retryable=True,
    )
