"""What can go wrong at the log, each with what it means for the caller."""

from __future__ import annotations


class EventLogError(Exception):
    """The root of all errors of this package."""


class UnavailableError(EventLogError):
    """The broker did not answer in time. What was asked may or may not have happened."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the broker did not answer: {what}; is it running and reachable?")
        self.what = what


class DeniedError(EventLogError):
    """The broker refuses this service a subject."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the broker denied access: {detail}; check the permissions of this service's user"
        )


class ConflictError(EventLogError):
    """Somebody else appended to the job first. Read it again and decide again."""

    def __init__(self, job: str, expected: int) -> None:
        super().__init__(f"job {job} has moved on from sequence {expected}")
        self.job = job
        self.expected = expected


class GapError(EventLogError):
    """Events are missing from the log. Nothing folded from it can be trusted; stop."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"the log goes from sequence {expected - 1} to {found}: events are missing; "
            "restore the stream from a backup before going on"
        )
        self.expected = expected
        self.found = found


class LogShrunkError(EventLogError):
    """The log is shorter than it was: its end is lost. Nothing may be appended in its place."""

    def __init__(self, seen: int, end: int) -> None:
        super().__init__(
            f"the log ends at event {end}, and event {seen} was in it before: events are lost; "
            "restore the stream from a backup before going on"
        )
        self.seen = seen
        self.end = end


class BrokerError(EventLogError):
    """The broker answered with an error that is none of the above."""

    def __init__(self, what: str, code: int, description: str) -> None:
        super().__init__(f"{what}: {description} (NATS error {code})")
        self.code = code
        self.description = description
