"""The stage `train_lora` on Stable Diffusion 1.5: face crops in, a personal LoRA out.

Only parameters and entry live here; torch is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.config import Sd15Config
from gpu_runner.models.weights import weights_of
from gpu_runner.stage import StageContext, StageResult


class Params(Sd15Config):
    """How to train, 512 pixels a side."""


def run(context: StageContext, base: Path | None = None) -> StageResult:
    """Train a LoRA on the pictures of input `faces`.

    Outputs are those of the engine `mini`: `lora`, `lora_kohya`, `report` and `samples`.
    `base` is a diffusers directory or a safetensors file; without, what `weights_of` finds.

    Raises:
        StageError: those of `mini`, of `sources.open_source`, `base-unreadable`,
            `memory-exhausted`.

    """
    from gpu_runner.engines.diffusion.stages.train_lora import train
    from gpu_runner.engines.sd15.traits import SD15

    return train(context, SD15, base or weights_of("sd15"))
