"""The stage `train_lora` on Stable Diffusion XL: face crops in, a personal LoRA out.

Only parameters and entry live here; torch is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.config import SdxlConfig
from gpu_runner.models.weights import weights_of
from gpu_runner.stage import StageContext, StageResult


class Params(SdxlConfig):
    """How to train, 1024 pixels a side."""


def run(context: StageContext, base: Path | None = None) -> StageResult:
    """Train a LoRA on the pictures of input `faces`.

    Outputs are those of the engine `mini`: `lora`, `lora_kohya`, `report` and `samples`.
    `base` is a diffusers directory or a safetensors file; without, what `weights_of` finds.

    Raises:
        StageError: those of `mini`, of `sources.open_source`, `base-unreadable`,
            `memory-exhausted`.

    """
    from gpu_runner.engines.diffusion.stages.train_lora import train
    from gpu_runner.engines.sdxl.traits import SDXL

    return train(context, SDXL, base or weights_of("sdxl"))
