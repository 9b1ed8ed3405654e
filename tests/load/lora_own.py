"""The stage `train_lora` on the mini base, as a runner's child does it, for `make bench-lora`.

python -m tests.load.lora_own PICTURES OUTPUT '{"steps": 150}'
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gpu_runner.engines.mini.train_lora import Params, run
from gpu_runner.stage import Report, StageContext

from tests.load.lora_told import Told

LOSS = "loss "


class Notes(Report):
    """Takes the time when a step is told of; all else is forgotten."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def progress(self, *told: Any) -> None:
        message = str(told[-1])
        if message.startswith(LOSS):
            self.told.step(float(message.removeprefix(LOSS)))

    def _forget(self, *_: Any, **__: Any) -> None:
        pass

    checkpoint = sample = line = values = _forget


def main(pictures: Path, output: Path, params: dict) -> None:
    told = Told(output)
    scratch = output / "scratch"
    scratch.mkdir()
    result = run(
        StageContext(
            params=Params.model_validate(params),
            inputs={"faces": sorted(pictures.glob("*.png"))},
            output=output,
            scratch=scratch,
            device="cpu",
            seed=1,
            report=Notes(told),
        )
    )
    told.write(checkpoint_pause=float(result.metrics["checkpoint_pause"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
