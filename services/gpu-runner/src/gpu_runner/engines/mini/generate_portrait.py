"""The stage `generate_portrait` on the mini base: a LoRA and the photos in, one portrait out.

Only parameters and entry live here; torch is imported when a run begins.
"""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.portrait import PortraitConfig
from gpu_runner.engines.mini.base import BASE, require
from gpu_runner.stage import StageContext, StageResult


class Params(PortraitConfig):
    """How to draw the portrait."""


def run(context: StageContext, base: Path = BASE) -> StageResult:
    """Draw a frontal portrait of the person.

    Inputs: `lora` (one file), `faces` (crops, best first) and, if bound, `prompt` (a text file).
    Outputs: `portrait`, a 512x512 PNG; `samples`, a PNG whose rows are photos, pictures of
    the LoRA from pure noise, pictures of the base alone from the same noise.

    With `reference: photo` the model draws only the coarse picture, at its own 64x64; the fine
    detail is the photo's own, laid over it. The metric `reference` says which was done, and
    `changed` by how much the portrait differs from the photo (root mean square, 0 to 1).

    Raises:
        StageError: `weights-absent`, `no-faces`, `face-unreadable`, `lora-unreadable`,
            `lora-of-another-base`, `nothing-drawn`, `mark-undrawable`.

    """
    from gpu_runner.engines.diffusion.stages.generate_portrait import generate
    from gpu_runner.engines.mini.traits import MINI

    return generate(context, MINI, require(base))
