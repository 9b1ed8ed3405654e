"""The child process in which one stage runs: `python -m gpu_runner.child FOLDER`.

Without a folder it runs one light stage after another, whose folders it reads line by line. Its
death frees all memory, the accelerator's too, and it can be killed at any moment. It dies with its
parent, so that a killed runner leaves nothing behind that computes for nobody.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import IO, Any

from contracts.stagelog import Level
from pydantic import BaseModel, ValidationError

from gpu_runner import crew, failures, protocol
from gpu_runner.credentials import Signing
from gpu_runner.orphan import die_with_parent
from gpu_runner.stage import Report, StageContext, StageError, StageResult

_FRAMES = 12


class LineReport(Report):
    """Writes each report as a line; safe to use from several threads."""

    def __init__(self, channel: IO[str], signing: Signing | None = None) -> None:
        self._channel = channel
        self._signing = signing
        self._signed: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._fraction = 0.0
        self._asked = threading.Event()

    def ask(self) -> None:
        """The runner wants a checkpoint."""
        self._asked.set()

    def asked(self) -> bool:
        """Whether the runner wants a checkpoint that it has not got yet."""
        return self._asked.is_set()

    def send(self, line: BaseModel) -> None:
        """One message to the runner."""
        with self._lock:
            self._channel.write(line.model_dump_json() + "\n")
            self._channel.flush()

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        self._fraction = min(max(done / total, 0.0), 1.0) if total else 0.0
        self.send(protocol.Progress(done=done, total=total, unit=unit, message=message))

    def checkpoint(self, directory: Path, step: int) -> None:
        message = protocol.Checkpointed(
            directory=directory, step=step, fraction=self._fraction, asked_for=self.asked()
        )
        self._asked.clear()
        self.send(message)

    def sample(self, path: Path, caption: str, step: int) -> None:
        self.sign(path)
        self.send(protocol.Sampled(path=path, caption=caption, step=step))

    def sign(self, path: Path) -> None:
        """Put the installation's credentials into a file that leaves the stage, once."""
        if self._signing and self._signed.get(path) != path.stat().st_mtime_ns:
            self._signing.sign(path)
            self._signed[path] = path.stat().st_mtime_ns

    def line(self, message: str, level: Level = Level.INFO) -> None:
        self.send(protocol.Line(message=message, level=level))

    def values(self, step: int, **values: float) -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.send(protocol.Line(step=step, values=finite))


def perform(task: protocol.Task, report: LineReport) -> protocol.Done | protocol.Failed:
    """Run the stage and tell how it ended."""
    try:
        params = _params(task)
        context = StageContext(
            params=params,
            inputs=task.inputs,
            output=task.output,
            scratch=task.scratch,
            device=task.device,
            seed=task.seed,
            report=report,
            resume=task.resume,
            checkpoint_wanted=report.asked,
            plugin=task.plugin,
        )
        result: StageResult = import_module(task.module).run(context)
        for path in chain.from_iterable(result.outputs.values()):
            report.sign(path)
    except StageError as error:
        return protocol.Failed(
            code=error.code, cause=error.cause, remedy=error.remedy, retryable=error.retryable
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the runner must hear of it
        traceback.print_exc()
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]:
            where = f"in {frame.name}, {Path(frame.filename).name} line {frame.lineno}"
            report.line(where, Level.ERROR)
        return _failure(error)
    outputs = {name: list(paths) for name, paths in result.outputs.items()}
    return protocol.Done(outputs=outputs, metrics=_plain(result.metrics))


def _params(task: protocol.Task) -> BaseModel:
    model: type[BaseModel] = getattr(import_module(task.params_module), task.params_class)
    try:
        return model.model_validate(task.params)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise StageError(
            "invalid-params",
            f"the parameters of the stage are not valid: {details}",
            "See /api/capabilities for the parameters of each engine",
        ) from error


def _failure(error: Exception) -> protocol.Failed:
    # Only the type is told: a message may quote what the user wrote, and this enters the log.
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        return protocol.Failed(
            code="out-of-memory",
            cause="there was not enough memory for the stage",
            remedy="Choose a lower quality or smaller settings, or a machine with more memory",
            retryable=True,
        )
    if failures.is_full_disk(error):
        return failures.DISK_FULL
    where = traceback.extract_tb(error.__traceback__)[-1]
    return protocol.Failed(
        code="stage-crashed",
        cause=f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}",
        remedy="This is a defect: see the stage's log, and report it",
        retryable=True,
    )


def _plain(metrics: Any) -> Any:
    """Metrics as plain JSON: numbers of array libraries become numbers."""
    return json.loads(json.dumps(metrics, default=float))


def main() -> None:
    """Run the stage whose folder is the only argument, or those whose folders come."""
    die_with_parent()
    # So that even a crash in native code says where it was.
    faulthandler.enable(all_threads=False)
    # Libraries print to standard output as they like; the runner listens on a copy of it.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    folders = sys.argv[1:] or map(str.strip, sys.stdin)
    for folder in map(Path, folders):
        _run(folder, channel)


def _run(folder: Path, channel: IO[str]) -> None:
    task = protocol.Task.model_validate_json((folder / protocol.TASK_FILE).read_bytes())
    report = LineReport(channel, task.signing)
    signal.signal(signal.SIGTERM, lambda *_: report.ask())
    with crew.muster(task, folder):
        report.send(perform(task, report))


if __name__ == "__main__":
    main()
