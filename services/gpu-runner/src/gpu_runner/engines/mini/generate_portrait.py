"""The stage `generate_portrait` on the mini base: a LoRA and the photos in, one portrait out.

Only parameters and entry live here; torch is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.engines.mini.base import BASE
from gpu_runner.stage import StageContext, StageResult


class Params(BaseModel):
    """How to draw the portrait."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Literal["photo", "none"] = Field(
        default="photo",
        description="photo: redraw the best photo and keep its fine detail; "
        "none: draw from noise alone, soft as the small base is.",
    )
    strength: float = Field(
        default=0.2,
        ge=0.05,
        le=1,
        description="With a reference: how much is redrawn, from hardly to all.",
    )
    steps: int = Field(default=20, ge=4, le=200, description="Sampling steps.")
    guidance: float = Field(
        default=2.0, ge=1, le=15, description="Weight of the prompt; 1 turns guidance off."
    )
    trigger_word: str = Field(
        default="sks",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="The word that the LoRA was trained with.",
    )
    samples: int = Field(
        default=4, ge=1, le=16, description="Pictures drawn from pure noise for the sample sheet."
    )


def run(context: StageContext, base: Path = BASE) -> StageResult:
    """Draw a frontal portrait of the person.

    Inputs: `lora` (one file), `faces` (crops, best first) and, if bound, `prompt` (a text file).
    Outputs: `portrait`, a 512x512 PNG; `samples`, a PNG whose rows are photos, pictures of
    the LoRA from pure noise, pictures of the base alone from the same noise.

    With `reference: photo` the model draws only the coarse picture, at its own 64x64; the fine
    detail is the photo's own, laid over it. The metric `reference` says which was done, and
    `changed` by how much the portrait differs from the photo (root mean square, 0 to 1).

    Raises:
        StageError: `weights-absent`, `no-faces`, `face-unreadable`, `lora-unreadable`.

    """
    from gpu_runner.engines.mini._portrait import generate

    return generate(context, base)
