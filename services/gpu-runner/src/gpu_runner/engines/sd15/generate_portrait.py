"""The stage `generate_portrait` on Stable Diffusion 1.5: LoRA and photos in, a portrait out.

Only parameters and entry live here; torch is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.portrait import Sd15PortraitConfig
from gpu_runner.models.weights import weights_of
from gpu_runner.stage import StageContext, StageResult


class Params(Sd15PortraitConfig):
    """How to draw the portrait."""


def run(context: StageContext, base: Path | None = None) -> StageResult:
    """Draw a frontal portrait of the person, 512x512.

    Inputs and outputs are those of the engine `mini`. With `reference: photo` the best photo is
    drawn anew at 512 pixels; what the model draws is what comes out.

    Raises:
        StageError: those of `mini`, of `sources.open_source`, `base-unreadable`.

    """
    from gpu_runner.engines.diffusion.stages.generate_portrait import generate
    from gpu_runner.engines.sd15.traits import SD15

    return generate(context, SD15, base or weights_of("sd15"))
