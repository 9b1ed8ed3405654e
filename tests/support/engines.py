"""Small engines that behave as a test wants: for what the real ones rarely do.

They take the way of every engine: announced by a runner, chosen by the planner, run in a
child process.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import Literal

from contracts.commands import Lane
from contracts.stagelog import Level
from gpu_runner.catalogue import Engine
from gpu_runner.stage import StageContext, StageError, StageResult
from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")

    does: Literal[
        "count",
        "refuse",
        "crash",
        "die",
        "abort",
        "hang",
        "talk",
        "checkpoint",
        "die_after_checkpoint",
        "fill",
        "devour",
    ] = "count"
    steps: int = 3
    pause_s: float = 0.0
    size: int = 0
    """Bytes that the result has at least."""


def run(context: StageContext) -> StageResult:
    """Counts to `steps`, or fails in the way that it is asked to."""
    params: Params = context.params
    first = int((context.resume / "step").read_text()) if context.resume else 0
    match params.does:
        case "refuse":
            raise StageError("no-face", "photo 2 shows no face", "Use another photo")
        case "crash":
            raise RuntimeError("the user's secret words")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            sys.stderr.write("the user's secret words\n")
            os.abort()
        case "talk":
            _talk(context)
        case "fill":
            _fill(context)
        case "devour":
            _devour()
        case "hang":
            while True:
                context.report.progress(1, 10, "step")
                time.sleep(0.1)
    for step in range(first + 1, params.steps + 1):
        time.sleep(params.pause_s)
        context.report.progress(step, params.steps, "step")
        if params.does.endswith("checkpoint") and first == 0 and step == 2:
            _checkpoint(context, step)
            if params.does == "die_after_checkpoint":
                os.kill(os.getpid(), signal.SIGKILL)
    result = context.output / "count.txt"
    result.write_text(f"{first}..{params.steps}")
    with result.open("ab") as file:
        file.truncate(max(result.stat().st_size, params.size))
    return StageResult({"count": [result]}, {"first": first, "inputs": len(context.inputs)})


def _checkpoint(context: StageContext, step: int) -> None:
    """Hands over a checkpoint, and returns once the runner has it."""
    folder = context.scratch / "checkpoint"
    folder.mkdir()
    (folder / "step").write_text(str(step))
    context.report.checkpoint(folder, step)
    # The runner takes the folder away when it has it.
    while folder.exists():
        time.sleep(0.02)


def _fill(context: StageContext) -> None:
    """Writes until the disk is full."""
    with (context.scratch / "filler").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def _devour() -> None:
    """Takes memory until there is none."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    taken = []
    while True:
        taken.append(bytearray(64 << 20))


def _talk(context: StageContext) -> None:
    """Says far more than can be read, and something that matters in the middle of it."""
    for step in range(1, 501):
        context.report.values(step, loss=1 / step, no_number=float("nan"))
        if step == 250:
            context.report.line("half of it is done", Level.WARNING)
    context.report.line("all was said")


ENGINES = (
    Engine(
        kind="count",
        name="counter",
        version="1",
        title="Counts",
        lane=Lane.CPU,
        module=__name__,
        params_module=__name__,
    ),
)
