"""Where attempts are made: the connections of the runner, and its scratch disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from servicekit.admin import Readiness
from servicekit.objects import ObjectStore

from gpu_runner.children import Children, Nursery


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
    children: Nursery[Any] = field(default_factory=Children)
    clock: Callable[[], float] = time.monotonic
