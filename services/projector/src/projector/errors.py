"""What stops the projector, each with what the operator can do about it."""

from __future__ import annotations

from typing import ClassVar


class ProjectorError(Exception):
    """The root of all errors of this package."""


class DatabaseUnavailableError(ProjectorError):
    """The database cannot be used now. What was being written is rolled back; try again."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"the database cannot be used: {cause}; "
            "check that it runs, that its disk has room, and MYSPINBOT_DATABASE_URL"
        )


class UnsupportedDatabaseError(ProjectorError):
    """The URL names a database or a driver that is not supported."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            f"MYSPINBOT_DATABASE_URL begins with {scheme!r}: use sqlite+aiosqlite:///<path> "
            "or postgresql+asyncpg://<user>@<host>/<database>"
        )


class PositionMovedError(ProjectorError):
    """Another projector on the same database was faster. Read the position and go on from it."""


class HaltedError(ProjectorError):
    """Going on would make the views wrong. Nothing is written until an operator has acted.

    `views_hold` says whether they are right as far as they go, and may still be shown.
    """

    views_hold: ClassVar[bool] = True


class LogReplacedError(HaltedError):
    """The log is not the one that the views were made from."""

    views_hold = False

    def __init__(self, known: str, found: str) -> None:
        super().__init__(
            f"the views were made from the log created at {known}, but this log was created at "
            f"{found}; restore the old log, or give the projector an empty database so that it "
            "builds the views from this one"
        )


class LogTooShortError(HaltedError):
    """The views have seen events that the log no longer holds."""

    views_hold = False

    def __init__(self, position: int, last: int) -> None:
        super().__init__(
            f"the views have seen event {position}, but the log ends at {last}; restore a log "
            "that is as new as the database, or give the projector an empty database so that it "
            "builds the views from this one"
        )


class UnreadableEventError(HaltedError):
    """The log holds an event that this version does not understand."""

    def __init__(self, position: int, cause: BaseException) -> None:
        super().__init__(
            f"the views stop at event {position}; the next one cannot be understood: {cause} "
            "Please install the version that wrote it; the projector goes on from there"
        )


class IncompleteLogError(HaltedError):
    """The log lacks an event."""

    def __init__(self, position: int, cause: BaseException) -> None:
        super().__init__(f"the views stop at event {position}: {cause}")
