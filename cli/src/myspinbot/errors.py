"""What can go wrong for somebody at the command line: always a cause and what to do next."""

from __future__ import annotations

FAILED = 1
"""Exit status of a job, a stack or a check that failed."""
MISUSED = 2
"""Exit status of a command that was called wrongly."""
UNREACHABLE = 3
"""Exit status when no system answers, or a part of it is away."""
HELD = 3
"""Exit status of `up` when another process holds the same data."""
REFUSED = 4
"""Exit status when the system refused the request."""
NOT_FOUND = 5
"""Exit status when what was asked for does not exist, or not any more."""
NOT_ALLOWED = 6
"""Exit status when the token is missing, wrong, or may not do this."""
STATUSES = frozenset({FAILED, MISUSED, UNREACHABLE, REFUSED, NOT_FOUND, NOT_ALLOWED})
"""The exit statuses of failures, which programs of the services have too."""


class CommandError(Exception):
    """The root of all errors that a command shows and ends with."""

    def __init__(self, cause: str, remedy: str, exit_status: int = FAILED) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.exit_status = exit_status
