"""How to train a LoRA: one set of parameters for all diffusion engines, with each one's defaults.

No torch here, so that a runner can announce the parameters without it. What an engine wants
otherwise than the others is a default in a subclass; names, bounds and meanings are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from contracts.events import Quality
from pydantic import BaseModel, ConfigDict, Field

MOST_IN_BETWEEN = 4
STEPS_FOR_A_SAMPLE = 33
"""So many steps take twenty times as long as one sample between them."""


class Optimizer(StrEnum):
    """What turns gradients into changes of the adapter."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw8bit"
    PRODIGY = "prodigy"


class Schedule(StrEnum):
    """How the learning rate goes down after the warm-up."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_RESTARTS = "cosine_restarts"


class Precision(StrEnum):
    """The number format in which the base computes; the adapter itself is always float32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Part(StrEnum):
    """What a base consists of, as far as it can be on different devices."""

    UNET = "unet"
    VAE = "vae"
    TEXT = "text"


Rank = Annotated[int, Field(ge=1, le=128, description="Rank of the adapter's matrices.")]
Convolutions = Annotated[
    bool,
    Field(description="Adapt the residual blocks' convolutions, too (LoCon): more texture."),
]
Steps = Annotated[int, Field(ge=1, le=5000, description="Optimizer steps.")]
BatchSize = Annotated[int, Field(ge=1, le=32, description="Pictures computed at once.")]
WarmupSteps = Annotated[int, Field(ge=0, le=500, description="Steps of linear warm-up.")]
MinSnrGamma = Annotated[
    float,
    Field(ge=0, le=20, description="Cap of the min-SNR loss weight; 0 weighs all noise alike."),
]
EmaDecay = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Keep a moving average of the adapter with this decay, as 0.99, and use that; "
        "0 for none.",
    ),
]
GradientCheckpointing = Annotated[
    bool,
    Field(description="Compute activations twice instead of keeping them: less memory, slower."),
]
CheckpointEvery = Annotated[int, Field(ge=1, le=5000, description="Steps between checkpoints.")]


class TrainConfig(BaseModel):
    """How to train, whatever the base."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usual_rate: ClassVar[float] = 1e-4
    """The learning rate of AdamW where none is given."""

    rank: Rank = 16
    alpha: int | None = Field(
        default=None, ge=1, le=256, description="Adapter scale times rank; the rank if unset."
    )
    dora: bool = Field(
        default=False,
        description="Train magnitudes apart from directions (DoRA): nearer to full training, "
        "slower.",
    )
    convolutions: Convolutions = False
    text_encoder: bool = Field(default=False, description="Train an adapter of the text encoder.")
    text_encoder_scale: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="The text encoder's learning rate as a part of the learning rate.",
    )
    steps: Steps = 1000
    batch_size: BatchSize = 1
    gradient_accumulation: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Batches whose gradients are added up for one step: as a larger batch, "
        "in the memory of a small one.",
    )
    optimizer: Optimizer = Field(
        default=Optimizer.ADAMW,
        description="adamw; adamw8bit: a quarter of its memory, needs bitsandbytes; "
        "prodigy: finds the learning rate by itself.",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Peak learning rate; a factor for prodigy. Unset: 1 for prodigy, else what "
        "suits the base.",
    )
    weight_decay: float = Field(
        default=1e-3, ge=0, le=1, description="How fast the adapter's weights are drawn to zero."
    )
    schedule: Schedule = Field(
        default=Schedule.COSINE,
        description="How the rate goes down: constant, linear, cosine, cosine_restarts.",
    )
    restarts: int = Field(
        default=2, ge=1, le=20, description="Cosine curves in a row of cosine_restarts."
    )
    final_rate: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="What is left of the learning rate at the end, as a part of the peak.",
    )
    warmup_steps: WarmupSteps = 20
    min_snr_gamma: MinSnrGamma = 5
    noise_offset: float = Field(
        default=0,
        ge=0,
        le=0.5,
        description="Shift the noise of each channel by this much: darker darks, brighter lights.",
    )
    prior_weight: float = Field(
        default=0,
        ge=0,
        le=10,
        description="Prior preservation: how much it weighs that the base goes on drawing other "
        "people as before; 0 for none. Each step then takes twice as long.",
    )
    prior_pictures: int = Field(
        default=16,
        ge=1,
        le=200,
        description="Pictures of other people that the base draws before the training, to be "
        "reminded of, where prior_weight is not 0.",
    )
    ema_decay: EmaDecay = 0
    gradient_checkpointing: GradientCheckpointing = False
    precision: Precision = Field(
        default=Precision.AUTO,
        description="Number format of the base's computation; auto takes what the device does "
        "well.",
    )
    checkpoint_every: CheckpointEvery = 100
    sample_every: int | None = Field(
        default=None,
        ge=0,
        le=5000,
        description="Steps between sample pictures; 0 for none, a few if unset.",
    )

    @property
    def scale(self) -> int:
        """The adapter's alpha."""
        return self.alpha or self.rank

    @property
    def pictures_per_step(self) -> int:
        """Pictures that one step of the optimizer learns from."""
        return self.batch_size * self.gradient_accumulation

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1.0 if self.optimizer is Optimizer.PRODIGY else self.usual_rate

    @property
    def sample_interval(self) -> int:
        """Steps between samples during training; 0 for none at all."""
        if self.sample_every is not None:
            return self.sample_every
        in_between = min(MOST_IN_BETWEEN, self.steps // STEPS_FOR_A_SAMPLE)
        return math.ceil(self.steps / (in_between + 1))

    def decisive(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that goes on from it."""
        return self.model_dump(mode="json", exclude={"checkpoint_every", "sample_every"})


class PersonConfig(TrainConfig):
    """How to train a base on the photos of one person."""

    trigger_word: str = Field(
        default="sks",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="The word in a prompt that calls the person.",
    )
    flip: bool = Field(default=True, description="Learn mirrored pictures too.")

    @property
    def learns_scenes(self) -> bool:
        """Whether more is learned of a photo than the face's square."""
        return False


class MiniConfig(PersonConfig):
    """How to train. The defaults take about half a minute on two CPU cores."""

    usual_rate: ClassVar[float] = 1e-3

    convolutions: Convolutions = True
    steps: Steps = 150
    batch_size: BatchSize = 4
    warmup_steps: WarmupSteps = 5
    min_snr_gamma: MinSnrGamma = 0
    checkpoint_every: CheckpointEvery = 50


Scenes = Annotated[
    bool,
    Field(
        description="Learn not only the face's square of each photo but also what is around it, "
        "in a shape near the photo's own (aspect buckets)."
    ),
]
Offload = Annotated[
    bool,
    Field(
        description="On a GPU: keep text encoders and VAE in the machine's own memory while they "
        "are not used. Costs a moment at each sample."
    ),
]
VaeTiles = Annotated[
    bool,
    Field(
        description="Let the VAE take each picture in four overlapping tiles: a quarter of its "
        "memory; seams are hardly seen."
    ),
]
HalfVae = Annotated[
    bool,
    Field(
        description="Use the decoder sdxl-vae, which does not overflow in half precision: half "
        "its memory, faster. Needs `myspinbot models pull sdxl-vae`."
    ),
]


class LargeConfig(PersonConfig):
    """How to train a base that fills a GPU."""

    scenes: Scenes = True
    offload: Offload = True
    vae_tiles: VaeTiles = False

    @property
    def learns_scenes(self) -> bool:
        """As the parameter says."""
        return self.scenes

    @property
    def resting(self) -> frozenset[Part]:
        """What waits in the machine's memory: not what is trained."""
        if not self.offload:
            return frozenset()
        return frozenset({Part.VAE} if self.text_encoder else {Part.VAE, Part.TEXT})


class Sd15Config(LargeConfig):
    """How to train Stable Diffusion 1.5, 512 pixels a side."""


class SdxlConfig(LargeConfig):
    """How to train Stable Diffusion XL, 1024 pixels a side; without these savings 24 GB are few."""

    gradient_checkpointing: GradientCheckpointing = True
    rank: Rank = 8
    half_vae: HalfVae = False


Presets = Mapping[Quality, Mapping[str, Any]]

MINI_PRESETS: Presets = {
    Quality.DRAFT: {"steps": 60},
    Quality.STANDARD: {"steps": 150},
    Quality.BEST: {"steps": 600},
}
LARGE_PRESETS: Presets = {
    Quality.DRAFT: {"steps": 400},
    Quality.STANDARD: {"steps": 1000},
    Quality.BEST: {"steps": 2000, "rank": 32, "convolutions": True, "ema_decay": 0.99},
}
"""For the bases of Stability AI."""
