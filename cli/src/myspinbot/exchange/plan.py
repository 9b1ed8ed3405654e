"""What of a file can be imported: all of it is read and judged before anything is written.

The events go into a temporary file on the way, so what is written later is what was judged, even
if the file changes meanwhile, and the events of one job are found again without keeping them all.
"""

from __future__ import annotations

import contextlib
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, cast

from contracts.admission import parse_json
from contracts.envelope import Stored, stored_from
from contracts.events import JobDeleted
from contracts.findings import Finding, Severity
from contracts.holdings import Holdings
from contracts.verification import Verifier
from eventlog.transfer import message_bytes

from myspinbot.exchange.intake import Intake
from myspinbot.exchange.writing import encoded


@dataclass(slots=True)
class PlannedJob:
    """A job of the file. `deleted_from` is the place of its deletion among its events."""

    job: str
    places: array[int] = field(default_factory=lambda: array("Q"))
    deleted_from: int | None = None
    fault: Finding | None = None
    too_large: int = 0
    ended: bool = False


class Plan:
    """The jobs of a file, in the order in which they began."""

    def __init__(self, intake: Intake, spool: IO[bytes], most_bytes: int) -> None:
        self.intake = intake
        self.jobs: dict[str, PlannedJob] = {}
        self.objects = Holdings()
        self._spool = spool
        self._most_bytes = most_bytes
        self._verifier = Verifier(gapless=False)

    @property
    def events(self) -> int:
        """How many events there are."""
        return self._verifier.tally.events

    def read(self) -> None:
        """Read the whole file. Raises BadEntryError if something in it is no event of ours."""
        for stored in self.intake.events():
            self._take(stored)
        for job in self.jobs.values():
            job.ended = self._verifier.has_ended(job.job)

    def _take(self, stored: Stored) -> None:
        job = self.jobs.setdefault(stored.job, PlannedJob(stored.job))
        deletes = stored.type == JobDeleted.type_name() and self._verifier.has_ended(stored.job)
        if deletes and job.deleted_from is None:
            job.deleted_from = len(job.places)
        for finding in self._verifier.examine(stored):
            if finding.severity is Severity.ERROR and job.fault is None:
                job.fault = finding
        if message_bytes(stored) > self._most_bytes:
            job.too_large = stored.sequence
        job.places.append(self._spool.tell())
        self._spool.write(encoded(stored.structured()) + b"\n")
        if (recorded := self._verifier.understood) is not None:
            self.objects.add(stored.job, recorded.event)

    def is_deleted(self, job: str) -> bool:
        """Whether a job was deleted in the file."""
        planned = self.jobs.get(job)
        return planned is not None and planned.deleted_from is not None

    def events_of(self, planned: PlannedJob, until: int | None = None) -> Iterator[Stored]:
        """The events of a job, or those before one of them."""
        for place in planned.places[:until]:
            self._spool.seek(place)
            yield stored_from(parse_json(self._spool.readline()))


@contextlib.contextmanager
def plan_of(file: IO[bytes], most_bytes: int) -> Iterator[Plan]:
    """A plan to be read. `most_bytes` is what the broker takes as one message."""
    with tempfile.TemporaryFile(prefix="myspinbot-import-") as spool:
        yield Plan(Intake(file), cast("IO[bytes]", spool), most_bytes)
