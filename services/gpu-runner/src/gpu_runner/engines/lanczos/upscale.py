"""`upscale` by the `lanczos` engine: interpolation and careful sharpening, without a model.

It adds no detail; it gives the next stage pixels that are neither blocky nor soft.
"""

from __future__ import annotations

from pydantic import Field

from gpu_runner.media.upscaling import UpscaleParams, deliver, read
from gpu_runner.stage import StageContext, StageResult


class Params(UpscaleParams):
    """What may be chosen."""

    sharpness: float = Field(
        default=0.5, ge=0.0, le=1.0, description="Sharpening after interpolation; 0 for none"
    )


def run(context: StageContext) -> StageResult:
    """Input `picture`; output `picture`, a PNG that is `factor` times as wide and high.

    Raises:
        StageError: `picture-unreadable` or `picture-too-large`.

    """
    from gpu_runner.media.enlargement import lanczos

    params: Params = context.params
    small = read(context)
    large = lanczos(small, params.factor, params.sharpness)
    context.report.progress(1, 1, "picture")
    return deliver(context, small, large)
