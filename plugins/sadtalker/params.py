"""What a user may choose: as for every talking video, and what SadTalker's command offers."""

from typing import Literal

from gpu_runner.engines.warp.params import VideoParams
from pydantic import Field


class Params(VideoParams):
    """How to make the video; `parameters.json` is this model's schema."""

    fps: Literal[25] = Field(default=25, description="Frames per second: SadTalker knows no other")
    model: Literal[256, 512] = Field(default=256, description="Pixels of the face that it draws")
    still: bool = Field(default=True, description="Whether the head moves less, as fits a portrait")
    pose_style: int = Field(default=0, ge=0, le=45, description="Which manner of moving the head")
    expression_scale: float = Field(
        default=1.0, ge=0.5, le=2.0, description="How lively the face is; 1 is as it was learned"
    )
    batch: int = Field(default=2, ge=1, le=32, description="Frames that are computed at once")
