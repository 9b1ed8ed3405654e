"""What goes wrong in a program that somebody calls: cause, remedy, and how the program ends.

Each kind of fault has the exit status that docs/cli.md tells.
"""

from __future__ import annotations

from enum import IntEnum


class Fault(IntEnum):
    """Whose turn it is, as an exit status."""

    FAILED = 1
    MISUSED = 2
    AWAY = 3
    REFUSED = 4
    ABSENT = 5
    FORBIDDEN = 6


class ToldError(Exception):
    """Something cannot be done: why, and what to do next."""

    def __init__(self, cause: str, remedy: str, fault: Fault = Fault.FAILED) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.fault = fault
