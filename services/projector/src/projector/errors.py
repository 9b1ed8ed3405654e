"""What stops the projector, each with what the operator can do about it."""

from __future__ import annotations

from typing import ClassVar

_OUT_OF_ROOM = ("53100", "disk full", "disk is full", "No space left")


class ProjectorError(Exception):
    """The root of all errors of this package: what is wrong, and what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause = cause
        self.remedy = remedy


class DatabaseUnavailableError(ProjectorError):
    """The database cannot be used now. What was being written is rolled back; try again.

    `full` says whether it is for want of room.
    """

    def __init__(self, cause: BaseException) -> None:
        said = f"{getattr(cause, 'sqlstate', '')} {cause}"
        self.full = any(sign in said for sign in _OUT_OF_ROOM)
        super().__init__(
            f"the database cannot be used: {cause}",
            "check that it runs, that its disk has room, and MYSPINBOT_DATABASE_URL",
        )


class TemporaryRoomError(ProjectorError):
    """The temporary database of a check cannot be written."""

    def __init__(self, cause: DatabaseUnavailableError) -> None:
        super().__init__(
            cause.cause.replace("the database", "the temporary database"),
            "make room in the temporary folder, or name another one in TMPDIR",
        )


class UnsupportedDatabaseError(ProjectorError):
    """The URL names a database or a driver that is not supported."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            f"MYSPINBOT_DATABASE_URL begins with {scheme!r}",
            "use sqlite+aiosqlite:///<path> or postgresql+asyncpg://<user>@<host>/<database>",
        )


class PositionMovedError(ProjectorError):
    """Another projector on the same database was faster. Read the position and go on from it."""

    def __init__(self, start: int) -> None:
        super().__init__(
            f"a position is no longer {start}", "another projector was faster: go on from there"
        )


class InvalidProjectionError(ProjectorError):
    """A projection does not keep to the rules, or is in another one's way."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the projection {name} cannot be kept: {why}", "see docs/projections.md")


class UnknownProjectionError(ProjectorError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no projection {name!r}", f"choose from {', '.join(known)}")


class NewerViewsError(ProjectorError):
    """A newer projector has views in the database, which this one must not clear away."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"the database holds {name} version {version}, which is a newer projector's",
            "clear away with the newest version of MySpinBot that is to use this database",
        )


class NotFilledError(ProjectorError):
    """The database has nothing of a projection yet."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"the database holds nothing of {name} version {version}",
            f"start the projector, or fill it with `myspinbot replay --projection {name}`",
        )


class UnderWayError(ProjectorError):
    """Somebody else rebuilds the same projection."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a rebuild of {name} is under way already",
            "wait for it; should it hang, end its process and start again",
        )


class UnknownJobError(ProjectorError):
    """The log knows nothing of a job."""

    def __init__(self, job: str) -> None:
        super().__init__(f"the log has no event of a job {job!r}", "check the id of the job")


class NotByJobError(ProjectorError):
    """The rows of a projection do not each belong to one job."""

    def __init__(self, name: str, table: str) -> None:
        super().__init__(
            f"{name} cannot be rebuilt by job: its table {table} has no column `job`",
            "rebuild all of it, without --job",
        )


class BrokerSilentError(ProjectorError):
    """The broker gives no answer."""

    def __init__(self, cause: object) -> None:
        super().__init__(
            f"the broker cannot be used: {cause}",
            "check that it runs, MYSPINBOT_NATS_URL and MYSPINBOT_NATS_SEED",
        )


class HaltedError(ProjectorError):
    """Going on would make the views wrong. Nothing is written until an operator has acted.

    `views_hold` says whether they are right as far as they go, and may still be shown.
    """

    views_hold: ClassVar[bool] = True
    in_log: ClassVar[bool] = False
    """Whether it lies in the log, and so stays for as long as the log is the same."""


_ANEW = (
    "give the projector an empty database, and it builds the views from this log (of a local "
    "system: stop it, move data/views.db away, and start it)"
)


class LogReplacedError(HaltedError):
    """The log is not the one that the views were made from."""

    views_hold = False

    def __init__(self, known: str, found: str) -> None:
        super().__init__(
            f"the views were made from the log created at {known}, but this log was created at "
            f"{found}",
            "if the log came from a backup, `myspinbot restore` brings the database of the same "
            f"backup too; or {_ANEW}",
        )


class LogTooShortError(HaltedError):
    """The views have seen events that the log no longer holds."""

    views_hold = False

    def __init__(self, position: int, last: int) -> None:
        super().__init__(
            f"the views have seen event {position}, but the log ends at {last}",
            "events are lost: restore log and database together with `myspinbot restore`, from a "
            f"backup that has them; or {_ANEW}",
        )
        self.position = position


class OtherTablesError(HaltedError):
    """The database has a table of another form under the name of one of ours."""

    views_hold = False

    def __init__(self, table: str, how: str) -> None:
        super().__init__(
            f"the table {table} is of another program's making: it {how}",
            "install the version that made it, or restore a backup from before it; or give the "
            "projector an empty database, and it builds the views from the log",
        )


class UnreadableEventError(HaltedError):
    """The log holds an event that this version does not understand."""

    in_log = True

    def __init__(self, position: int, cause: BaseException) -> None:
        super().__init__(
            f"the views stop at event {position}: the next one cannot be understood: {cause}",
            "install the version that wrote it, which goes on from there, or restore a backup "
            "from before it",
        )


class IncompleteLogError(HaltedError):
    """The log lacks an event."""

    in_log = True

    def __init__(self, position: int, expected: int, found: int) -> None:
        super().__init__(
            f"the views stop at event {position}: the log goes from there to event {found}, and "
            f"lacks {found - expected} between",
            "restore the stream from a backup that has them",
        )
