"""What a user may choose about a moving scene. No torch here."""

from __future__ import annotations

from contracts.events import Quality
from pydantic import Field

from gpu_runner.engines.diffusion.config import Precision, Presets
from gpu_runner.engines.warp.params import VideoParams


class Params(VideoParams):
    """How to draw the scene, and the video of it."""

    pictures: int = Field(
        default=0,
        ge=0,
        le=161,
        description="Pictures that the model draws at once; 0 takes as many as it was made for",
    )
    clips: int = Field(
        default=1,
        ge=1,
        le=8,
        description="How often the scene is continued from its last picture. Each time it gets a "
        "little worse; what lacks to the speech's length runs there and back",
    )
    scene_side: int = Field(
        default=480,
        ge=128,
        le=768,
        multiple_of=32,
        description="Shorter side in pixels of what the model draws, before it is brought to size",
    )
    steps: int = Field(
        default=0, ge=0, le=100, description="Sampling steps; 0 takes what suits the model"
    )
    guidance: float = Field(
        default=0.0,
        ge=0.0,
        le=15.0,
        description="Weight of the prompt, or of the portrait with Stable Video Diffusion; 0 takes "
        "what suits the model",
    )
    motion_bucket: int = Field(
        default=80,
        ge=1,
        le=255,
        description="How much moves, with Stable Video Diffusion; the others go by the prompt",
    )
    precision: Precision = Field(
        default=Precision.AUTO,
        description="Number format of the computation; auto takes what the device does well",
    )
    offload: bool = Field(
        default=True,
        description="On a GPU: keep each model in the machine's own memory while another one "
        "works, so that the largest decides how much is needed. Costs seconds",
    )
    vae_tiles: bool = Field(
        default=False,
        description="Decode the pictures in pieces: less memory, more time",
    )


SCENE_PRESETS: Presets = {
    Quality.DRAFT: {"steps": 12, "scene_side": 384},
    Quality.STANDARD: {},
    Quality.BEST: {"steps": 50, "size": 720, "scene_side": 576},
}
