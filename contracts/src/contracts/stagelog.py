"""What an attempt says while it runs: lines to read, and values to draw."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Contract, Id, Name, Timestamp


class Level(StrEnum):
    """How much a line matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class StageLine(Contract):
    """One line of an attempt. Never in the log of events: lines are kept for a while only.

    `values` are measurements at `step`, such as `loss` and `lr`; a curve is the lines with one.
    """

    version: Literal[1] = 1
    job: Id
    stage: Name
    attempt: Annotated[int, Field(ge=1)]
    at: Timestamp
    level: Level = Level.INFO
    message: str = ""
    step: int | None = None
    values: dict[Name, float] = Field(default_factory=dict)
