"""What a stage's child process and the runner say to each other.

The runner writes `task.json` into the stage's folder and starts the child there. The child
answers with one JSON object a line. SIGTERM asks an engine that makes checkpoints for one. Any
program that keeps to this can be an engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from contracts.base import Name
from contracts.stagelog import Level
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from gpu_runner.credentials import Signing

TASK_FILE = "task.json"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Message):
    """What the child is to do. All paths are absolute."""

    module: str
    params_module: str
    params_class: str
    params: dict[str, Any]
    inputs: dict[str, list[Path]]
    output: Path
    scratch: Path
    resume: Path | None
    device: str
    seed: int
    devices: tuple[str, ...] = ()
    """All devices of the stage, if it may be spread over several; `device` is the first."""
    plugin: Path | None = None
    """The folder of the plug-in that does it, if one does."""
    signing: Signing | None = None
    """By what the child signs what it makes; None where an installation has no key for it."""


class Progress(_Message):
    """So much is done."""

    type: Literal["progress"] = "progress"
    done: float
    total: float
    unit: str
    message: str = ""


class Checkpointed(_Message):
    """A folder from which the stage could go on; `asked_for` if the runner wanted it."""

    type: Literal["checkpoint"] = "checkpoint"
    directory: Path
    step: int
    fraction: float = 0.0
    asked_for: bool = False


class Sampled(_Message):
    """Something to look at or listen to."""

    type: Literal["sample"] = "sample"
    path: Path
    caption: str
    step: int


class Line(_Message):
    """Something to read, values to draw, or both. `step` is what the values were measured at."""

    type: Literal["line"] = "line"
    level: Level = Level.INFO
    message: str = ""
    step: int | None = None
    values: dict[Name, FiniteFloat] = Field(default_factory=dict)


class Done(_Message):
    """The stage has made its outputs. The last line."""

    type: Literal["done"] = "done"
    outputs: dict[str, list[Path]]
    metrics: dict[str, Any] = Field(default_factory=dict)


class Failed(_Message):
    """The stage cannot be done. The last line."""

    type: Literal["failed"] = "failed"
    code: str
    cause: str
    remedy: str
    retryable: bool = False


Message = Annotated[
    Progress | Checkpointed | Sampled | Line | Done | Failed, Field(discriminator="type")
]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
"""Parses what a child writes on one line."""
