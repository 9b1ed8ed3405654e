"""The runner's hold on a stage's child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from pydantic import ValidationError

from gpu_runner import protocol

log = structlog.get_logger(__name__)

# A line carries a stage's metrics; the default limit of 64 KiB would cut a long one.
_LONGEST_LINE = 16 << 20


class StageProcess:
    """One child. `lines` ends with `Done` or `Failed`, whatever happens to the child."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._killed = False

    @staticmethod
    async def start(folder: Path, task: protocol.Task, threads: int) -> StageProcess:
        """Start the child for a task in its folder, to compute with so many threads."""
        (folder / protocol.TASK_FILE).write_text(task.model_dump_json())
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gpu_runner.child",
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            # A group of its own, so that what the child starts is killed with it.
            start_new_session=True,
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "PYTHONUNBUFFERED": "1",
                "OMP_NUM_THREADS": str(threads),
            },
        )
        return StageProcess(process)

    async def lines(self) -> AsyncIterator[protocol.Line]:
        """What the child says, to its end."""
        ended = False
        if self._process.stdout is None:
            raise RuntimeError("the child was started without a pipe")
        async for raw in self._process.stdout:
            try:
                line = protocol.LINE.validate_json(raw)
            except ValidationError:
                log.warning("stage.unreadable_line", length=len(raw))
                continue
            ended = ended or isinstance(line, protocol.Done | protocol.Failed)
            yield line
        status = await self._process.wait()
        if not ended and not self._killed:
            yield _died(status)

    async def kill(self) -> None:
        """End the child and all that it started, at once."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


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
        remedy="See the runner's log; if it happens again, report it",
        retryable=True,
    )
