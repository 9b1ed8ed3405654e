"""Verifies a log or a file of events, and collects what is found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from contracts.artifacts import Artifact
from contracts.attestation import Attestation, Attested
from contracts.checkpoints import LogCheckpoint
from contracts.envelope import Stored
from contracts.findings import Check, Finding
from contracts.holdings import Holdings
from contracts.verification import Tally, Verifier
from eventlog.broker import Broker
from eventlog.checkpoints import is_genuine, read_checkpoints
from eventlog.log import EventLog
from eventlog.span import extent, read_span

from contracts import findings as f
from myspinbot.errors import NOT_FOUND, CommandError
from myspinbot.exchange.intake import Intake
from myspinbot.exchange.reading import BadEntryError

if TYPE_CHECKING:
    from servicekit.objects import ObjectStore

MOST_KEPT = 1000
"""Findings that are kept; of more, only the number."""
Told = Callable[[int, int | None], None]


@dataclass(slots=True)
class Report:
    """What a verification has found."""

    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)
    checkpoints: int = 0
    attested: Attested | None = None
    last: int = 0
    whole: bool = True
    """Whether the whole log was read, so that checkpoints could be compared."""
    objects: int | None = None

    @property
    def errors(self) -> int:
        """How many faults there are."""
        return self.tally.errors

    def document(self) -> dict[str, Any]:
        """For programs."""
        attested = self.attested
        return {
            "ok": not self.errors,
            **self.tally.model_dump(mode="json", by_alias=True),
            "lastSequence": self.last,
            "checkpoints": self.checkpoints,
            "attested": attested and attested.model_dump(mode="json", by_alias=True),
            "objects": self.objects,
            "findings": [
                finding.model_dump(mode="json", by_alias=True, exclude_none=True)
                for finding in self.findings
            ],
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whom the verifier trusts, and the checkpoints that were kept elsewhere."""

    trusted: tuple[str, ...] = ()
    kept: tuple[LogCheckpoint, ...] = ()


class _Checker:
    """A verification under way."""

    def __init__(self, verifier: Verifier, *, with_objects: bool = False) -> None:
        self.report = Report()
        self._verifier = verifier
        self._attestations: list[Attestation] = []
        self._holdings = Holdings() if with_objects else None

    def compare(self, attestation: Attestation) -> None:
        """Also hold the log against these checkpoints."""
        self._attestations.append(attestation)
        self.note(attestation.beginning())

    def note(self, findings: Iterable[Finding]) -> None:
        """Take in what was found besides the events themselves."""
        for finding in findings:
            self._verifier.count(finding)
            self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        if len(self.report.findings) < MOST_KEPT:
            self.report.findings.append(finding)

    def take(self, stored: Stored) -> None:
        """The next event."""
        for finding in self._verifier.examine(stored):
            self._keep(finding)
        for attestation in self._attestations:
            self.note(attestation.examine(stored))
        self.report.last = stored.sequence
        understood = self._verifier.understood
        if self._holdings is not None and understood is not None:
            self._holdings.add(stored.job, understood.event)

    async def check_objects(self, store: ObjectStore, told: Told) -> None:
        """Whether all objects are there that jobs hold which were not deleted."""
        from myspinbot.backup.objects import several

        if self._holdings is None:
            return
        wanted = list(self._holdings.wanted(self._verifier.is_deleted))
        self.report.objects = 0

        async def look(item: tuple[Artifact, str], _place: int) -> None:
            artifact, job = item
            self.note(_objection(artifact, job, await store.size(artifact.key)))
            self.report.objects = (self.report.objects or 0) + 1
            told(self.report.objects, len(wanted))

        await several(wanted, look)

    def finish(self) -> Report:
        """What was found in all."""
        for attestation in self._attestations:
            self.note(attestation.end())
            self.report.checkpoints += attestation.checked
            found, known = attestation.attested, self.report.attested
            if found and (known is None or found.last_sequence > known.last_sequence):
                self.report.attested = found
        self.report.tally = self._verifier.tally
        return self.report


def _objection(artifact: Artifact, job: str, size: int | None) -> list[Finding]:
    if size is None:
        return [f.error(Check.ARTIFACT, f"its object {artifact.key} is missing", job=job)]
    if size != artifact.size:
        what = f"its object {artifact.key} has {size} bytes, and should have {artifact.size}"
        return [f.error(Check.ARTIFACT, what, job=job)]
    return []


async def check_log(
    broker: Broker, evidence: Evidence, store: ObjectStore | None, told: Told
) -> Report:
    """Verify the whole log up to where it reaches now."""
    # In this order, as both may grow meanwhile.
    own = [checkpoint async for checkpoint in read_checkpoints(broker)]
    reach = await extent(broker)
    checker = _Checker(Verifier(), with_objects=store is not None)
    checker.compare(Attestation(own, is_genuine, evidence.trusted, reach.created))
    if evidence.kept:
        checker.compare(Attestation(evidence.kept, is_genuine, evidence.trusted, linked=False))
    async for batch in read_span(broker, 0, reach.end):
        for stored in batch:
            checker.take(stored)
        told(batch[-1].sequence, reach.end)
    if reach.last > reach.end:
        missing = f"events {reach.end + 1} to {reach.last} are missing from the end of the log"
        checker.note([f.error(Check.SEQUENCE, missing, reach.last)])
    if store is not None:
        await checker.check_objects(store, told)
    return checker.finish()


async def check_job(broker: Broker, job: str, store: ObjectStore | None, told: Told) -> Report:
    """Verify one job. CommandError if there is none."""
    checker = _Checker(Verifier(gapless=False), with_objects=store is not None)
    checker.report.whole = False
    async for stored in EventLog(broker, "cli").read_stored(job):
        checker.take(stored)
    if not checker.report.last:
        raise CommandError(f"The log has no job {job}.", "`myspinbot jobs` lists them.", NOT_FOUND)
    if store is not None:
        await checker.check_objects(store, told)
    return checker.finish()


def check_file(file: IO[bytes], job: str | None, evidence: Evidence, told: Told) -> Report:
    """Verify a file of events.

    What it holds is known only at its end, so it is read twice: it must be seekable.
    """
    contents = _contents(file)
    file.seek(0)
    selection = contents.closing.selection if contents.closing else None
    gapless = selection is not None and selection.gapless and job is None
    checker = _Checker(
        Verifier(gapless=gapless, whole_jobs=selection is None or selection.whole_jobs)
    )
    checker.report.whole = gapless
    if gapless and contents.checkpoints:
        checker.compare(Attestation(contents.checkpoints, is_genuine, evidence.trusted))
    if gapless and evidence.kept:
        checker.compare(Attestation(evidence.kept, is_genuine, evidence.trusted, linked=False))
    intake = Intake(file)
    try:
        for stored in intake.events():
            if job in (None, stored.job):
                checker.take(stored)
            told(intake.last, contents.last)
    except BadEntryError as error:
        checker.note([f.error(Check.FILE, str(error))])
    else:
        if intake.fault:
            checker.note([f.error(Check.FILE, intake.fault)])
    if job is not None and not checker.report.last:
        raise CommandError(f"The file has no job {job}.", "Check the id.", NOT_FOUND)
    return checker.finish()


def _contents(file: IO[bytes]) -> Intake:
    """The file, read to its end or to the first entry that is none."""
    intake = Intake(file)
    with contextlib.suppress(BadEntryError):
        for _ in intake.events():
            pass
    return intake
