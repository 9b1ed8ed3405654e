"""The stage `train_lora` on the mini base: face crops in, a personal LoRA out.

Only parameters and entry live here; torch is imported when a run begins, so that the
parent can announce the parameters without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from gpu_runner.engines.diffusion.config import MiniConfig, Precision
from gpu_runner.engines.mini.base import BASE, require
from gpu_runner.stage import StageContext, StageResult


class Params(MiniConfig):
    """How to train. The defaults take about half a minute on two CPU cores."""

    bfloat16: bool = Field(
        default=False,
        description="Older name of precision bf16.",
        json_schema_extra={"deprecated": True},
    )

    @model_validator(mode="before")
    @classmethod
    def _name_precision(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("bfloat16") is True:
            return {"precision": Precision.BF16, **given}
        return given


def run(context: StageContext, base: Path = BASE) -> StageResult:
    """Train a LoRA on the pictures of input `faces`.

    Outputs: `lora`, one safetensors file for diffusers and peft; `lora_kohya`, the same by the
    names that ComfyUI and A1111 read; `report`, a JSON card with the loss of every step;
    `samples`, a PNG whose rows are photos, the base, the LoRA.

    Raises:
        StageError: `weights-absent`, `no-faces`, `face-unreadable`, `training-diverged`,
            `batch-too-small`, `optimizer-unavailable`, `nothing-drawn`.

    """
    from gpu_runner.engines.diffusion.stages.train_lora import train
    from gpu_runner.engines.mini.traits import MINI

    return train(context, MINI, require(base))
