"""The stage `train_lora` on the mini base: face crops in, a personal LoRA out.

Only parameters and entry live here; torch is imported when a run begins, so that the
parent can announce the parameters without it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.engines.mini.base import BASE
from gpu_runner.stage import StageContext, StageResult


class Params(BaseModel):
    """How to train. The defaults take about half a minute on two CPU cores."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=16, ge=1, le=128, description="Rank of the adapter's matrices.")
    alpha: int | None = Field(
        default=None, ge=1, le=256, description="Adapter scale times rank; the rank if unset."
    )
    steps: int = Field(default=100, ge=1, le=5000, description="Optimizer steps.")
    batch_size: int = Field(default=4, ge=1, le=32, description="Pictures per step.")
    learning_rate: float = Field(
        default=1e-3, gt=0, le=1, description="Peak learning rate of AdamW."
    )
    warmup_steps: int = Field(default=5, ge=0, le=500, description="Steps of linear warm-up.")
    min_snr_gamma: float = Field(
        default=0, ge=0, le=20, description="Cap of the min-SNR loss weight; 0 weighs all alike."
    )
    trigger_word: str = Field(
        default="sks",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="The word in a prompt that calls the person.",
    )
    flip: bool = Field(default=True, description="Learn mirrored pictures too.")
    checkpoint_every: int = Field(
        default=50, ge=1, le=5000, description="Steps between checkpoints."
    )
    sample_every: int | None = Field(
        default=None,
        ge=0,
        le=5000,
        description="Steps between sample pictures; 0 for none, a few if unset.",
    )
    bfloat16: bool = Field(
        default=False, description="Compute in bfloat16: faster on a GPU, slower on most CPUs."
    )


def run(context: StageContext, base: Path = BASE) -> StageResult:
    """Train a LoRA on the pictures of input `faces`.

    Outputs: `lora`, one safetensors file for diffusers and peft; `report`, a JSON card with
    the loss of every step; `samples`, a PNG whose rows are photos, the base, the LoRA.

    Raises:
        StageError: `weights-absent`, `no-faces`, `face-unreadable`, `training-diverged`.

    """
    from gpu_runner.engines.mini._training import train

    return train(context, base)
