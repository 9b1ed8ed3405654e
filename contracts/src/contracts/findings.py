"""What a verification of the log finds: errors that somebody must look into, and notes."""

from __future__ import annotations

from enum import StrEnum

from contracts.base import Contract


class Severity(StrEnum):
    """Whether a finding is a fault."""

    ERROR = "error"
    NOTE = "note"


class Check(StrEnum):
    """Which rule a finding is about."""

    SEQUENCE = "sequence"
    """Events are missing from the stream."""
    ENVELOPE = "envelope"
    """An attribute is missing, strange, or says something else than the event's subject."""
    VERSION = "version"
    """The type or version is not known to this program."""
    BODY = "body"
    """It is no JSON, or not of the shape that its version has."""
    CHAIN = "chain"
    """The event is not the one that was told, or not the next one after the one before it."""
    BEGINNING = "beginning"
    """The job's first event is no JobRequested."""
    TRANSITION = "transition"
    """Nobody who kept the rules would have told it at that place."""
    TELLER = "teller"
    """It was told by a service that may not tell such events."""
    IDENTITY = "identity"
    """Two events of a job have the same id."""
    CLOCK = "clock"
    """It was told at an earlier time than the one before it."""
    ARTIFACT = "artifact"
    """An object that must be there is missing, or has another size."""
    CHECKPOINT = "checkpoint"
    """A signed checkpoint does not fit the log, or cannot be believed."""
    FILE = "file"
    """The file is not what was exported."""


REMEDIES = {
    Check.SEQUENCE: "Restore the log from a backup, and look at the broker's disk and its log.",
    Check.ENVELOPE: "Find out who wrote it: no service of MySpinBot writes such an event.",
    Check.VERSION: "Verify with the version of MySpinBot that wrote it, or a newer one.",
    Check.BODY: "Find out who wrote it: no service of MySpinBot writes such an event.",
    Check.CHAIN: "Compare the job with an export or a backup from before: "
    "`myspinbot events show` tells its story.",
    Check.BEGINNING: "Compare the job with an export or a backup from before: its beginning is "
    "missing.",
    Check.TRANSITION: "Look at the job with `myspinbot events show`, and at the log of the service "
    "that told it.",
    Check.TELLER: "Find out who has the credentials of that service, and renew them.",
    Check.IDENTITY: "Find out who wrote the second one: the broker drops what is only told twice.",
    Check.CLOCK: "Nothing is wrong with the log: set the clocks of the machines.",
    Check.ARTIFACT: "Restore the object from a backup, or delete the job if it is not wanted.",
    Check.CHECKPOINT: "Compare log and checkpoints with copies that are kept elsewhere "
    "(docs/audit.md).",
    Check.FILE: "Export the log anew.",
}
"""What to do about each kind of finding, unless it says better."""


class Finding(Contract):
    """One thing that was found, and what to do about it."""

    severity: Severity
    check: Check
    what: str
    remedy: str
    sequence: int | None = None
    job: str | None = None


def error(check: Check, what: str, sequence: int | None = None, job: str | None = None) -> Finding:
    """A fault."""
    return Finding(
        severity=Severity.ERROR,
        check=check,
        what=what,
        remedy=REMEDIES[check],
        sequence=sequence,
        job=job,
    )


def note(check: Check, what: str, sequence: int | None = None, job: str | None = None) -> Finding:
    """Something worth knowing that is no fault."""
    found = error(check, what, sequence, job)
    return found.model_copy(update={"severity": Severity.NOTE})
