"""Where attempts are made: the connections of the runner, and its scratch disk."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from servicekit.admin import Readiness
from servicekit.objects import ObjectStore

from gpu_runner.process import Child, StageProcess
from gpu_runner.protocol import Task


@dataclass(frozen=True, slots=True)
class Bench:
    """What all attempts of a runner share.

    `credentials` is the file by which the installation signs what it makes, if it has one.
    """

    log: EventLog
    progress: KeyValue
    lines: StageLogs
    store: ObjectStore
    runner: str
    scratch: Path
    readiness: Readiness = field(default_factory=Readiness)
    credentials: Path | None = None
    clock: Callable[[], float] = time.monotonic
    start: Callable[[Path, Task, int], Awaitable[Child]] = StageProcess.start
    """Starts the child for a task in its folder, to compute with so many threads."""
