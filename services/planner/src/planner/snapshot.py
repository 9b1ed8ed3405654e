"""A planner's memory as it is kept in a file: what it says, and when it may be believed.

A file holds one line of JSON about itself and one with the memory. It is believed only if it is
whole, was written by the very same code, and stands at an event that the log has as well. The log
is the truth: whatever is wrong with a snapshot, reading the log again makes it good.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pydantic
from contracts.envelope import Recorded, Stored
from contracts.job import JobState
from eventlog.log import LogPosition
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from planner.domain.memory import Memory
from planner.domain.reuse import Reusable

FORMAT = 1
_FOLDS_AND_DECIDES = ("contracts", "planner.domain")


class UnusableSnapshotError(Exception):
    """A snapshot must not be believed. The message says why; the log says what it should."""


class Header(BaseModel):
    """What a snapshot says of itself: the event that it stands at, and who wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    code: str
    log_created: datetime
    sequence: int
    event: str
    chain: str | None
    sha256: str

    def must_match(self, log: LogPosition, stored: Stored | None, code: str) -> None:
        """Raise UnusableSnapshotError unless it is of this log and this code.

        `stored` is the event that the log has at the snapshot's position.
        """
        if self.code != code:
            raise UnusableSnapshotError("other code has written it")
        if self.log_created != log.created:
            raise UnusableSnapshotError(
                f"it is of a log created at {self.log_created}, and this one was at {log.created}"
            )
        if self.sequence > log.last_sequence:
            raise UnusableSnapshotError(
                f"it stands at event {self.sequence}, and the log ends at {log.last_sequence}"
            )
        found = (stored.id, stored.chain) if stored else None
        if found != (self.event, self.chain):
            raise UnusableSnapshotError(f"the log has another event at {self.sequence}")


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    jobs: list[JobState]
    reusable: dict[str, list[Reusable]]


_KEPT = TypeAdapter(_Kept)


class Frozen:
    """A memory as it is at one moment, which may be written down while the planner goes on."""

    def __init__(self, memory: Memory) -> None:
        self.position = memory.position
        self._kept = _Kept.model_construct(
            jobs=list(memory.jobs.values()), reusable=memory.reusable.holders()
        )

    def encoded(self, log_created: datetime, last: Recorded, code: str) -> bytes:
        """The file's content; `last` is the last event that is in the memory."""
        body = self._kept.model_dump_json(by_alias=True).encode()
        header = Header(
            code=code,
            log_created=log_created,
            sequence=self.position,
            event=last.id,
            chain=last.chain,
            sha256=hashlib.sha256(body).hexdigest(),
        )
        return header.model_dump_json().encode() + b"\n" + body + b"\n"


def opened(content: bytes) -> tuple[Header, bytes]:
    """The header and the memory of a file; UnusableSnapshotError if it is not whole."""
    first, _, rest = content.partition(b"\n")
    try:
        written = json.loads(first)
        version = written.get("format") if isinstance(written, dict) else None
        if version != FORMAT:
            raise UnusableSnapshotError(f"its format is {version}, and {FORMAT} is known")
        header = Header.model_validate(written)
    except (ValueError, RecursionError) as error:
        raise UnusableSnapshotError("its first line makes no sense") from error
    body = rest.removesuffix(b"\n")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise UnusableSnapshotError("it was cut off or changed")
    return header, body


def memory_of(header: Header, body: bytes) -> Memory:
    """The memory in a file whose header matches; UnusableSnapshotError if it makes no sense."""
    try:
        kept = _KEPT.validate_json(body)
    except ValidationError as error:
        raise UnusableSnapshotError("its content makes no sense") from error
    return Memory(header.sequence, kept.jobs, kept.reusable)


@cache
def fingerprint() -> str:
    """What the code is that folds and decides: other code might remember the same otherwise."""
    digest = hashlib.sha256(f"{FORMAT} {pydantic.VERSION}".encode())
    for path in _sources():
        digest.update(f"\n{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterable[Path]:
    for package in _FOLDS_AND_DECIDES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield from sorted(Path(folder).rglob("*.py"))
