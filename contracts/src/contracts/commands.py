"""What the planner asks of runners."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.artifacts import Artifacts
from contracts.base import Contract, Id, Name, Timestamp


class Lane(StrEnum):
    """The part of a runner that a stage occupies while it runs.

    An engine that computes on the accelerator takes the `gpu` lane, of which a runner has
    one per device; one that only needs processors takes the `cpu` lane, and so does not
    keep a GPU waiting.
    """

    GPU = "gpu"
    CPU = "cpu"


class StageCommand(Contract):
    """Run one attempt of one stage. Derived from a `StageScheduled` event and from nothing else."""

    version: Literal[1] = 1
    job: Id
    stage: Name
    attempt: Annotated[int, Field(ge=1)]
    kind: Name
    engine: Name
    lane: Lane
    params: dict[str, Any]
    inputs: Artifacts
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    deadline: Timestamp | None = None


class StopCommand(Contract):
    """Stop working on an attempt: its job was cancelled, or a later attempt replaces it."""

    version: Literal[1] = 1
    job: Id
    stage: Name
    attempt: Annotated[int, Field(ge=1)]
    reason: str
