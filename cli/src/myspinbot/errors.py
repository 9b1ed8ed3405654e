"""What can go wrong for somebody at the command line: always a cause and what to do next."""

from __future__ import annotations

FAILED = 1
"""Exit status of a job or a stack that failed."""
MISUSED = 2
"""Exit status of a command that was called wrongly."""
HELD = 3
"""Exit status of `up` when another process holds the same data."""


class CommandError(Exception):
    """The root of all errors that a command shows and ends with."""

    def __init__(self, cause: str, remedy: str, status: int = FAILED) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.status = status
