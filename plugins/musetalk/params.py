"""What a user may choose: as with the engine `warp`, and how MuseTalk computes."""

from gpu_runner.engines.diffusion.config import Precision
from gpu_runner.engines.warp.params import Params as PortraitParams
from pydantic import Field


class Params(PortraitParams):
    """How to make the video; `parameters.json` is this model's schema."""

    precision: Precision = Field(
        default=Precision.AUTO,
        description="Number format of the computation; auto takes what the device does well",
    )
    batch: int = Field(default=8, ge=1, le=64, description="Frames that are computed at once")
    chin: int = Field(
        default=10,
        ge=0,
        le=40,
        description="How far below the chin MuseTalk may draw, in pixels of a face of 256",
    )
