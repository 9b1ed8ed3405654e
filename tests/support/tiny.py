"""The real training of a LoRA on a base of a few random weights, for what does not depend on size.

`TINY_BASE` says where that base is; it is written by the test.
"""

from __future__ import annotations

import os
from pathlib import Path

from contracts.commands import Lane
from gpu_runner.catalogue import Engine
from gpu_runner.engines.mini import train_lora
from gpu_runner.stage import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    # So small a model gains nothing by threads, and loses much where tests share the processors.
    os.environ["OMP_NUM_THREADS"] = "1"
    return train_lora.run(context, Path(os.environ["TINY_BASE"]))


ENGINES = (
    Engine(
        kind="train_lora",
        name="tiny",
        version="1",
        title="LoRA on random weights",
        lane=Lane.GPU,
        module=__name__,
        params_module=train_lora.__name__,
        checkpoints=True,
    ),
)
