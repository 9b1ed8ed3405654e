"""What a stage is to the code that does its work.

A stage runs in a child process. It is given plain files and parameters and a
`Report` to speak through; it knows no NATS, no S3 and no job. So any engine can
be run, tested and profiled by calling `run(context)` with a folder of files, and
the parent stays free to kill it at any moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from contracts.stagelog import Level


class Report(Protocol):
    """How a running stage tells of itself. Every method returns at once."""

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        """Say that `done` of `total` `unit`s are finished; the parent derives the ETA."""

    def checkpoint(self, directory: Path, step: int) -> None:
        """Offer a finished folder from which the stage could go on, should it die.

        The folder must not change afterwards; the parent uploads it in the background
        and deletes it. A later attempt finds it as `StageContext.resume`.
        """

    def sample(self, path: Path, caption: str, step: int) -> None:
        """Show an intermediate picture or sound."""

    def line(self, message: str, level: Level = Level.INFO) -> None:
        """Say something worth reading. Never names, file names or text of the user's.

        Many lines at once are thinned out; warnings, errors and the last line are kept.
        """

    def values(self, step: int, **values: float) -> None:
        """Give measurements at `step`, such as `loss` and `lr`, for a curve."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class StageContext:
    """Everything a stage may use.

    `inputs` maps an input's name to its files, in the order in which the graph bound
    them. `params` are validated against the engine's `Params` already. `output` is the
    empty folder for results; `scratch` is thrown away. `resume` holds the last checkpoint
    of an earlier attempt at the same stage. `device` is `cuda:N`, `mps` or `cpu`.
    `checkpoint_wanted` tells that the runner is about to stop: a stage that can offers a
    checkpoint soon, and goes on until it is ended. `plugin` is the folder of the plug-in whose
    program does the stage, if one does.
    """

    params: Any
    inputs: Mapping[str, Sequence[Path]]
    output: Path
    scratch: Path
    device: str
    seed: int
    report: Report
    resume: Path | None = None
    checkpoint_wanted: Callable[[], bool] = _never
    plugin: Path | None = None

    def one(self, name: str) -> Path:
        """The only file of input `name`."""
        (path,) = self.inputs[name]
        return path


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage made: files by output name, and honest measures of them.

    Metrics are plain JSON: numbers, short strings, or nested mappings of them. They
    enter the event log, so they never carry what a user wrote or what a file was called.
    """

    outputs: Mapping[str, Sequence[Path]]
    metrics: Mapping[str, Any] = field(default_factory=dict)


def processors() -> int:
    """How many threads a stage may compute with: its share of the machine.

    The runner sets `OMP_NUM_THREADS` for each child, as stages of two lanes run side by side:
    twice as many threads as processors make parallel loops many times slower, not half as fast.
    """
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


class StageError(Exception):
    """A stage cannot be done, and unless it is `retryable`, trying again would not help.

    `code` is a stable kebab-case name, `cause` says what is wrong with which input
    ("photo 2 shows no face"), `remedy` what the user can do about it. None of them
    carries names, file names or text of the user's: they enter the event log.
    """

    def __init__(self, code: str, cause: str, remedy: str, *, retryable: bool = False) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.code = code
        self.cause = cause
        self.remedy = remedy
        self.retryable = retryable
