"""Keeps the planner's memory in a file from time to time, so that it starts fast.

The file is a cache. Losing it, or finding it unusable, costs the time of reading the log. While it
is there it also tells of a log that has lost its end, as a broker's disk may make it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from contracts.envelope import Recorded
from eventlog.errors import LogShrunkError
from eventlog.log import EventLog, LogPosition, utc_now

from planner.domain.memory import Memory
from planner.snapshot import (
    Frozen,
    UnusableSnapshotError,
    fingerprint,
    memory_of,
    opened,
)

log = structlog.get_logger(__name__)

FILE = "planner.snapshot"
EVERY_EVENTS = 10_000
EVERY = timedelta(minutes=5)


@dataclass(slots=True)
class Snapshots:
    """The snapshot of one planner. Without a folder there is none."""

    folder: Path | None
    log_created: datetime
    every_events: int = EVERY_EVENTS
    every: timedelta = EVERY
    now: Callable[[], datetime] = utc_now
    _kept_at: int = 0
    _kept_on: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._kept_on = self.now()

    async def recall(self, event_log: EventLog, end: LogPosition) -> Memory:
        """The memory to begin with: of the snapshot if it may be believed, else an empty one.

        Raises UnavailableError if the log cannot be asked now, and LogShrunkError if the snapshot
        has seen more of this very log than there is: deciding anew would hide what was lost.
        """
        if self.folder is None:
            return Memory()
        path = self.folder / FILE
        try:
            header, body = opened(path.read_bytes())
            if header.log_created == end.created and header.sequence > end.last_sequence:
                raise LogShrunkError(header.sequence, end.last_sequence)
            stored = await event_log.read_at(header.sequence)
            header.must_match(end, stored, fingerprint())
            memory = memory_of(header, body)
        except FileNotFoundError:
            return Memory()
        except (UnusableSnapshotError, OSError) as error:
            log.warning("planner.snapshot_refused", file=str(path), detail=str(error))
            return Memory()
        self._kept_at = memory.position
        log.info("planner.snapshot_used", position=memory.position, log_ends=end.last_sequence)
        return memory

    async def keep_when_due(self, memory: Memory, last: Recorded) -> None:
        """Write the memory down if enough was read since, while the planner goes on."""
        moved = last.sequence - self._kept_at
        if moved >= self.every_events or (moved > 0 and self.now() - self._kept_on >= self.every):
            await asyncio.to_thread(self._keep, Frozen(memory), last)

    def keep_now(self, memory: Memory, last: Recorded | None) -> None:
        """Write the memory down before the planner ends, if it has read on."""
        if last is not None and last.sequence > self._kept_at:
            self._keep(Frozen(memory), last)

    def _keep(self, frozen: Frozen, last: Recorded) -> None:
        """Write the file. That it cannot be is told, and changes nothing."""
        # A planner that is stopped in the middle of a batch remembers more than it has read.
        if self.folder is None or frozen.position != last.sequence:
            return
        self._kept_at, self._kept_on = frozen.position, self.now()
        try:
            content = frozen.encoded(self.log_created, last, fingerprint())
            replace_file(self.folder / FILE, content)
        except OSError as error:
            log.warning("planner.snapshot_failed", detail=str(error))
        else:
            log.info("planner.snapshot_kept", position=frozen.position, size=len(content))


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another one, so that one of them is there whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
