"""How far a running stage is. Published often, kept only as the latest, never in the log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Contract, Id, Name, Timestamp


class StageProgress(Contract):
    """The latest word on one running attempt.

    `fraction` is of this attempt; `high` is the highest of all attempts, and what a job's
    progress is made of, so that a retry never makes it go back.
    """

    version: Literal[1] = 1
    job: Id
    stage: Name
    attempt: Annotated[int, Field(ge=1)]
    fraction: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    done: float
    total: float
    unit: str
    message: str = ""
    rate: float | None = Field(default=None, description="units per second")
    eta_s: float | None = Field(default=None, description="seconds until the stage is done")
    at: Timestamp
