"""Files of events that go from one installation to another, or to an auditor.

Each entry is a structured CloudEvent, also those that are about the file itself: the signed
checkpoints of the log, and at the end the closing word, without which a file was cut. So whoever
reads CloudEvents reads the whole file, and knows by the type what is no event of a job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, ValidationError

from contracts.admission import ForeignEventError
from contracts.base import Contract, Id, Sha256, Timestamp
from contracts.checkpoints import LogCheckpoint
from contracts.envelope import TYPE_PREFIX, Stored

CLOSING_TYPE = f"{TYPE_PREFIX}LogExported"
CHECKPOINT_TYPE = f"{TYPE_PREFIX}LogCheckpoint"
FORMAT = 1
_SOURCE = "/myspinbot/cli"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class NewerFormatError(ForeignEventError):
    """The file was written by a program whose files this one cannot read."""


class Selection(Contract):
    """Which events are meant. What is not given selects nothing out; `until` is included."""

    jobs: tuple[Id, ...] = ()
    types: tuple[str, ...] = ()
    owner: Id | None = None
    after: int | None = Field(default=None, description="sequence; only events after it")
    until: int | None = Field(default=None, description="sequence; no events after it")
    since_time: Timestamp | None = None
    until_time: Timestamp | None = None

    @property
    def whole_jobs(self) -> bool:
        """Whether every job is there from its beginning and without omission."""
        return not (self.types or self.after or self.since_time or self.until_time)

    @property
    def gapless(self) -> bool:
        """Whether it is the log from its beginning, without omission."""
        return self.whole_jobs and not (self.jobs or self.owner)

    def wants(self, stored: Stored) -> bool:
        """Whether an event is meant, as far as the owner does not matter."""
        if self.jobs and stored.job not in self.jobs:
            return False
        if self.types and stored.type not in self.types:
            return False
        if self.after is not None and stored.sequence <= self.after:
            return False
        if self.until is not None and stored.sequence > self.until:
            return False
        if self.since_time is None and self.until_time is None:
            return True
        time = datetime.fromisoformat(stored.headers["ce-time"])
        early = self.since_time is not None and time < self.since_time
        late = self.until_time is not None and time > self.until_time
        return not (early or late)


class Closing(Contract):
    """What a file ends with: how many events it holds, and the hash over them."""

    format: Literal[1] = 1
    program: str = Field(description="the version of MySpinBot that wrote the file")
    stream_created: Timestamp
    last_sequence: int = Field(description="of the log when it was read")
    selection: Selection = Selection()
    events: int
    sha256: Sha256


class Digest:
    """The hash over the events of a file, whatever the file's format.

    SHA-256 over each event as JSON with sorted keys and without white space, and a line feed.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.events = 0

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in one structured event, with its sequence and its chain value."""
        text = _ENCODER.encode(event)
        self._hash.update(text.encode(errors="surrogatepass") + b"\n")
        self.events += 1

    @property
    def sha256(self) -> str:
        """The hash so far, in hexadecimal."""
        return self._hash.hexdigest()


def closing_event(closing: Closing, time: datetime) -> dict[str, Any]:
    """The entry that a file ends with."""
    return _about_file(CLOSING_TYPE, closing.sha256, time, closing)


def checkpoint_event(checkpoint: LogCheckpoint) -> dict[str, Any]:
    """The entry that carries a signed checkpoint along."""
    return _about_file(CHECKPOINT_TYPE, checkpoint.id, checkpoint.time, checkpoint)


def _about_file(kind: str, id_: str, time: datetime, data: Contract) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id_,
        "source": _SOURCE,
        "type": kind,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "data": data.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def read_closing(event: Mapping[str, Any]) -> Closing:
    """The closing word in an entry. NewerFormatError, or ForeignEventError if it is none."""
    data = event.get("data")
    written = data.get("format") if isinstance(data, dict) else None
    if isinstance(written, int) and written > FORMAT:
        program = str(data.get("program", "?"))[:40] if isinstance(data, dict) else "?"
        raise NewerFormatError(
            f"it was written by MySpinBot {program} in format {written}, and this program knows "
            f"up to format {FORMAT}"
        )
    try:
        return Closing.model_validate(data)
    except ValidationError as error:
        raise ForeignEventError(f"its closing word is malformed: {_first(error)}") from error


def read_checkpoint(event: Mapping[str, Any]) -> LogCheckpoint:
    """The checkpoint in an entry; ForeignEventError if it is none."""
    try:
        return LogCheckpoint.model_validate(event.get("data"))
    except ValidationError as error:
        raise ForeignEventError(f"a checkpoint in it is malformed: {_first(error)}") from error


def kinds(names: Iterable[str]) -> tuple[str, ...]:
    """Types as they are in events, of names with or without the prefix."""
    return tuple(name.removeprefix(TYPE_PREFIX) for name in names)


def _first(error: ValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
