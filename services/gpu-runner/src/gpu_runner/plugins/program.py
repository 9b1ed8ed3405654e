"""A plug-in's program for those that run on the runner's own interpreter, with its modules.

A plug-in is a program in any language and needs nothing of this: docs/plugins.md. Those of this
project that shoot their films as the engine `warp` does say here what `run` says to them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.stagelog import Level

from gpu_runner.stage import Report, StageContext, StageError, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel


class Speaker(Report):
    """Says messages on what was standard output, which libraries can no longer write to."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, kind: str, **what: Any) -> None:
        """One message to the runner."""
        self._out.write(json.dumps({"type": kind, **what}) + "\n")
        self._out.flush()

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        self.say("progress", done=done, total=total, unit=unit, message=message)

    def checkpoint(self, directory: Path, step: int) -> None:
        self.say("checkpoint", directory=str(directory), step=step)

    def sample(self, path: Path, caption: str, step: int) -> None:
        self.say("sample", path=str(path), caption=caption, step=step)

    def line(self, message: str, level: Level = Level.INFO) -> None:
        self.say("line", message=message, level=level)

    def values(self, step: int, **values: float) -> None:
        self.say("line", step=step, values=values)


def perform(params: type[BaseModel], run: Callable[[StageContext], StageResult]) -> None:
    """Do the job whose folder is the program's last argument, and say how it ended."""
    speaker = Speaker()
    job = json.loads((Path(sys.argv[-1]) / "job.json").read_text(encoding="utf-8"))
    context = StageContext(
        params=params.model_validate(job["params"]),
        inputs={name: [Path(each) for each in files] for name, files in job["inputs"].items()},
        output=Path(job["output"]),
        scratch=Path(job["scratch"]),
        device=job["device"],
        seed=job["seed"],
        report=speaker,
    )
    try:
        result = run(context)
    except StageError as error:
        speaker.say(
            "failed",
            code=error.code,
            cause=error.cause,
            remedy=error.remedy,
            retryable=error.retryable,
        )
        return
    outputs = {name: [str(path) for path in files] for name, files in result.outputs.items()}
    metrics = json.loads(json.dumps(result.metrics, default=float))
    speaker.say("done", outputs=outputs, metrics=metrics)
