"""What every engine of `upscale` does around its work. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.stage import StageContext, StageResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UpscaleParams(BaseModel):
    """What may be chosen, whatever enlarges the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: int = Field(
        default=2, ge=2, le=4, multiple_of=2, description="How many times as wide and high"
    )


def read(context: StageContext) -> NDArray[np.uint8]:
    """The picture to enlarge; StageError if it cannot be read, or would become too large."""
    from gpu_runner.media.enlargement import require_room
    from gpu_runner.media.pictures import decode_picture

    small = decode_picture(context.one("picture"))
    require_room(small, context.params.factor)
    return small


def deliver(
    context: StageContext, small: NDArray[np.uint8], large: NDArray[np.uint8]
) -> StageResult:
    """The enlarged picture as the stage's output, with both sizes as metrics."""
    from gpu_runner.media.pictures import write_picture

    path = write_picture(context.output / "picture.png", large)
    sizes = {
        f"{side}_{name}": picture.shape[axis]
        for name, picture in (("before", small), ("after", large))
        for axis, side in enumerate(("height", "width"))
    }
    context.report.line(
        f"{small.shape[1]} by {small.shape[0]} pixels became {large.shape[1]} by {large.shape[0]}"
    )
    return StageResult({"picture": [path]}, sizes)
