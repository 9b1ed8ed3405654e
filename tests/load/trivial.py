"""An engine that does next to nothing, so that what is measured is all that is around it."""

from __future__ import annotations

from contracts.commands import Lane
from gpu_runner.catalogue import Engine
from gpu_runner.stage import StageContext, StageResult
from pydantic import BaseModel, ConfigDict

KIND = "trivial"


class Params(BaseModel):
    """Nothing to say."""

    model_config = ConfigDict(extra="forbid")


def run(_: StageContext) -> StageResult:
    """A number, as a stage's measure."""
    return StageResult({}, {"answer": 42})


ENGINES = (
    Engine(
        kind=KIND,
        name="trivial",
        version="1",
        title="Does nothing",
        lane=Lane.CPU,
        light=True,
        module=__name__,
        params_module=__name__,
    ),
)
