"""How to draw a portrait: one set of parameters for all diffusion engines. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal

from contracts.events import Quality
from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.engines.diffusion.config import HalfVae, Part, Precision, Presets, VaeTiles
from gpu_runner.media.mark_text import MarkText

Strength = Annotated[
    float,
    Field(ge=0.05, le=1, description="With a reference: how much is redrawn, from hardly to all."),
]
Steps = Annotated[int, Field(ge=4, le=200, description="Sampling steps.")]
Guidance = Annotated[
    float, Field(ge=1, le=15, description="Weight of the prompt; 1 turns guidance off.")
]


class PortraitConfig(BaseModel):
    """How to draw the portrait, whatever the base."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Literal["photo", "none"] = Field(
        default="photo",
        description="photo: redraw the best photo, of which a small base keeps the fine detail; "
        "none: draw from noise alone, as well as the base can.",
    )
    strength: Strength = 0.2
    steps: Steps = 20
    guidance: Guidance = 2.0
    trigger_word: str = Field(
        default="sks",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="The word that the LoRA was trained with.",
    )
    mark: MarkText = ""
    samples: int = Field(
        default=4, ge=1, le=16, description="Pictures drawn from pure noise for the sample sheet."
    )


class LargePortraitConfig(PortraitConfig):
    """How to draw the portrait by a base that fills a GPU."""

    strength: Strength = 0.5
    steps: Steps = 30
    guidance: Guidance = 6.5
    precision: Precision = Field(
        default=Precision.AUTO,
        description="Number format of the base's computation; auto takes what the device does "
        "well.",
    )
    offload: bool = Field(
        default=True,
        description="On a GPU: keep each model in the machine's own memory while another one "
        "works, so that the largest decides how much is needed. Costs seconds.",
    )
    vae_tiles: VaeTiles = False

    @property
    def resting(self) -> frozenset[Part]:
        """What waits in the machine's memory."""
        return frozenset(Part) if self.offload else frozenset()


class Sd15PortraitConfig(LargePortraitConfig):
    """How to draw the portrait by Stable Diffusion 1.5."""


class SdxlPortraitConfig(LargePortraitConfig):
    """How to draw the portrait by Stable Diffusion XL."""

    half_vae: HalfVae = False


LARGE_PORTRAIT_PRESETS: Presets = {
    Quality.DRAFT: {"steps": 15, "samples": 2},
    Quality.STANDARD: {"steps": 30},
    Quality.BEST: {"steps": 50},
}
