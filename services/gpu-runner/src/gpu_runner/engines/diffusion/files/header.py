"""What a LoRA's file says of itself: ModelSpec's entries and those of kohya's sd-scripts.

ModelSpec 1.0.1 (github.com/Stability-AI/ModelSpec) tells programs what a file is and how to
show it; `ss_*`, by the names and in the spelling of sd-scripts, how it was trained. Nothing of
a person's enters but the trigger word and, as a picture, what the LoRA has learned: no names
of photos, folders or people.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from io import BytesIO
from typing import Literal

from PIL import Image

from gpu_runner.engines.diffusion.components import Rgb
from gpu_runner.engines.diffusion.files.container import Container, Hashes

LONGEST = 2000
"""Characters of a text that one entry holds; the rest is cut."""
THUMBNAIL_SIDE = 256
"""ModelSpec's recommendation, in pixels."""
_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Family:
    """What programs call a kind of base."""

    architecture: str
    base_model_version: str
    kohya_implementation: str = "diffusers"
    """Whose names a file in kohya's naming follows."""


MINI = Family("myspinbot-mini", "myspinbot-mini")
SD15 = Family("stable-diffusion-v1", "sd_v1")
SDXL = Family(
    "stable-diffusion-xl-v1-base",
    "sdxl_base_v1-0",
    "https://github.com/Stability-AI/generative-models",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a LoRA is; sizes in pixels, `made_at` with a time zone."""

    family: Family
    title: str
    trigger_phrase: str
    resolution: tuple[int, int]
    made_at: datetime
    prediction_type: Literal["epsilon", "v"]
    description: str = ""
    license: str = ""
    thumbnail: Rgb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a LoRA was made; each field is the entry `ss_<field>`, None where it does not apply."""

    network_dim: int
    network_alpha: float
    learning_rate: float
    lr_scheduler: str
    lr_warmup_steps: int
    optimizer: str
    max_train_steps: int
    steps: int
    total_batch_size: int
    num_train_images: int
    mixed_precision: Literal["no", "fp16", "bf16"]
    seed: int
    sd_model_name: str
    new_sd_model_hash: str | None = None
    """sha256 of the base's UNet, or of its single file."""
    batch_size_per_device: int | None = None
    conv_dim: int | None = None
    conv_alpha: float | None = None
    weight_decomposition: bool = False
    unet_lr: float | None = None
    text_encoder_lr: float | None = None
    num_reg_images: int = 0
    prior_loss_weight: float | None = None
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    max_grad_norm: float | None = None
    min_snr_gamma: float | None = None
    noise_offset: float | None = None
    cache_latents: bool = True
    flip_aug: bool = False
    training_started_at: float | None = None
    """Seconds since 1970, as sd-scripts writes it; so too the end."""
    training_finished_at: float | None = None


_IN_NETWORK_ARGS = {"conv_dim", "conv_alpha", "weight_decomposition"}


@dataclass(frozen=True, slots=True)
class Card:
    """What a LoRA is and how it was made."""

    about: Description
    training: Training

    def entries(self, content: Container, naming: Literal["diffusers", "kohya"]) -> dict[str, str]:
        """All entries of the header of the file that is to hold `content`."""
        trained = _training_entries(self.training, self.about)
        return trained | _spec_entries(self.about, content.hashes(trained), naming)


def _training_entries(training: Training, about: Description) -> dict[str, str]:
    entries: dict[str, object] = {
        field.name: getattr(training, field.name)
        for field in fields(training)
        if field.name not in _IN_NETWORK_ARGS
    }
    arguments: dict[str, str] = {}
    if training.conv_dim is not None:
        alpha = training.network_alpha if training.conv_alpha is None else training.conv_alpha
        arguments |= {"conv_dim": str(training.conv_dim), "conv_alpha": str(alpha)}
    # sd-scripts' own network knows no weight decomposition; LyCORIS' of this name does.
    decomposed = training.weight_decomposition
    if decomposed:
        arguments |= {"algo": "locon", "dora_wd": "True"}
    entries |= {
        "network_module": "lycoris.kohya" if decomposed else "networks.lora",
        "network_args": json.dumps(arguments) if arguments else None,
        "base_model_version": about.family.base_model_version,
        "v2": False,
        "output_name": about.title,
        "resolution": str(about.resolution),
        "tag_frequency": json.dumps(
            {"photos": {_plain(about.trigger_phrase): training.num_train_images}}
        ),
    }
    return {
        f"ss_{name}": _plain(str(value)) for name, value in entries.items() if value is not None
    }


def _spec_entries(
    about: Description, hashes: Hashes, naming: Literal["diffusers", "kohya"]
) -> dict[str, str]:
    family = about.family
    width, height = about.resolution
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{family.architecture}/lora",
        "implementation": family.kohya_implementation if naming == "kohya" else "diffusers",
        "title": _plain(about.title),
        "description": _plain(about.description),
        "date": about.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "hash_sha256": f"0x{hashes.tensors}",
        "license": _plain(about.license),
        "usage_hint": f"Trigger word: {_plain(about.trigger_phrase)}",
        "tags": "Person",
        "resolution": f"{width}x{height}",
        "trigger_phrase": _plain(about.trigger_phrase),
        "prediction_type": about.prediction_type,
        "thumbnail": "" if about.thumbnail is None else thumbnail(about.thumbnail),
    }
    return {
        **{f"modelspec.{name}": text for name, text in entries.items() if text},
        "sshs_model_hash": hashes.tensors,
        "sshs_legacy_hash": hashes.legacy,
    }


def thumbnail(picture: Rgb) -> str:
    """A small JPEG of `picture` [height, width, 3] as a data URL; never enlarged."""
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    held = BytesIO()
    small.save(held, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"


def _plain(text: str) -> str:
    """`text` on one line, without what a reader of the file could trip over.

    Half of a surrogate pair is no UTF-8, and would make the file unreadable; control and
    formatting characters can make a list show another text than is there.
    """
    shown = (" " if one.isspace() else one for one in text)
    kept = "".join(one for one in shown if not unicodedata.category(one).startswith("C"))
    return " ".join(kept.split())[:LONGEST]
