"""What a training that has just ended writes into the header of its LoRA."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import torch

from gpu_runner import crew
from gpu_runner.engines.diffusion.components import Components, Rgb
from gpu_runner.engines.diffusion.config import PersonConfig
from gpu_runner.engines.diffusion.files.adapter import Adapter
from gpu_runner.engines.diffusion.files.header import Card, Description, Training
from gpu_runner.engines.diffusion.files.kohya import Naming
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.engines.diffusion.trainer import MAX_GRADIENT_NORM
from gpu_runner.engines.diffusion.traits import Traits

_MIXED: dict[torch.dtype, Literal["no", "bf16", "fp16"]] = {
    torch.float32: "no",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training: of the base in directory or file `base`, on so many `photos`.

    `licence` is that of the base, empty if it is not known; `sample` a picture by the LoRA.
    """

    base: Path
    photos: int
    seed: int
    began_at: datetime
    ended_at: datetime
    sample: Rgb
    licence: str


def describe(run: Run, traits: Traits, config: PersonConfig, components: Components) -> Card:
    """The card of the LoRA that `run` has made of `components` with `config`."""
    predicts_velocity = components.schedule.config["prediction_type"] == "v_prediction"
    scale = config.scale
    return Card(
        Description(
            family=traits.family,
            title=f"LoRA of {config.trigger_word}",
            trigger_phrase=config.trigger_word,
            resolution=(components.side, components.side),
            made_at=run.ended_at,
            prediction_type="v" if predicts_velocity else "epsilon",
            license=run.licence,
            thumbnail=run.sample,
        ),
        Training(
            network_dim=config.rank,
            network_alpha=scale,
            conv_dim=config.rank if config.convolutions else None,
            conv_alpha=scale if config.convolutions else None,
            weight_decomposition=config.dora,
            learning_rate=config.peak_rate,
            unet_lr=config.peak_rate,
            text_encoder_lr=(
                config.peak_rate * config.text_encoder_scale if config.text_encoder else None
            ),
            lr_scheduler=config.schedule,
            lr_warmup_steps=config.warmup_steps,
            optimizer=config.optimizer,
            max_train_steps=config.steps,
            steps=config.steps,
            total_batch_size=config.batch_size,
            batch_size_per_device=-(-config.batch_size // crew.size()),
            gradient_accumulation_steps=config.gradient_accumulation,
            gradient_checkpointing=config.gradient_checkpointing,
            max_grad_norm=MAX_GRADIENT_NORM,
            num_train_images=run.photos,
            mixed_precision=_MIXED[number_format(config.precision, components.device)],
            seed=run.seed,
            sd_model_name=traits.name,
            new_sd_model_hash=_hash_of(run.base),
            min_snr_gamma=config.min_snr_gamma or None,
            noise_offset=config.noise_offset or None,
            prior_loss_weight=config.prior_weight or None,
            flip_aug=config.flip,
            training_started_at=run.began_at.timestamp(),
            training_finished_at=run.ended_at.timestamp(),
        ),
    )


def write_both(folder: Path, adapter: Adapter, card: Card, naming: Naming) -> dict[str, list[Path]]:
    """Write the file that later stages read, and the one for other programs, by output name."""
    ours, kohya = folder / "lora.safetensors", folder / "lora-kohya.safetensors"
    adapter.write(ours, card)
    adapter.write_kohya(kohya, card, naming)
    return {"lora": [ours], "lora_kohya": [kohya]}


def _hash_of(base: Path) -> str | None:
    """The sha256 of the base's file, or of the UNet's weights, where they are one file."""
    weights = [base] if base.is_file() else sorted((base / "unet").glob("*.safetensors"))
    if len(weights) != 1:
        return None
    with weights[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
