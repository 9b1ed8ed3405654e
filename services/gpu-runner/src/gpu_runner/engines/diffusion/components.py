"""The parts of a latent diffusion base, loaded one by one from a diffusers directory.

The whole-pipeline class would import every loader that diffusers has; the parts alone
start in a fraction of the time, and training needs them apart anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from numpy.typing import NDArray
from transformers.models.clip.modeling_clip import CLIPTextModel
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from gpu_runner.stage import processors

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Components:
    """A base ready to train or sample on `device`; `side` is its picture size in pixels."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    schedule: DDIMScheduler
    device: torch.device
    side: int


def use_processors() -> None:
    """Compute on this stage's share of the processors."""
    torch.set_num_threads(processors())


def load_components(base: Path, device: str) -> Components:
    """Load the base at `base` (a `StableDiffusionPipeline` directory) in float32.

    Raises:
        OSError: a part of the directory is missing or damaged.

    """
    vae_class = AutoencoderTiny if _is_tiny(base) else AutoencoderKL
    options = {"torch_dtype": torch.float32, "local_files_only": True}
    target = torch.device(device)
    vae = vae_class.from_pretrained(base / "vae", **options).to(target).eval()
    unet = UNet2DConditionModel.from_pretrained(base / "unet", **options).to(target).eval()
    text_encoder = CLIPTextModel.from_pretrained(
        base / "text_encoder", dtype=torch.float32, local_files_only=True
    )
    for module in (vae, unet, text_encoder):
        module.requires_grad_(False)
    return Components(
        unet=unet,
        vae=vae,
        text_encoder=text_encoder.to(target).eval(),  # type: ignore[arg-type]
        tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True),
        schedule=DDIMScheduler.from_pretrained(base / "scheduler", local_files_only=True),
        device=target,
        side=unet.config["sample_size"] * 2 ** (len(vae.config["block_out_channels"]) - 1),
    )


def _is_tiny(base: Path) -> bool:
    config: dict[str, str] = AutoencoderTiny.load_config(base / "vae")
    return config["_class_name"] == "AutoencoderTiny"


@torch.no_grad()
def encode_pictures(components: Components, pictures: list[Rgb]) -> torch.Tensor:
    """Scaled latents [n, c, h, w] of squares [side, side, 3]; of a distribution, its mode."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    encoded = components.vae.encode(pixels.to(components.device))
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    scaled: torch.Tensor = latents * components.vae.config["scaling_factor"]
    return scaled


@torch.no_grad()
def decode_latents(components: Components, latents: torch.Tensor) -> list[Rgb]:
    """uint8 pictures [side, side, 3] of scaled latents [n, c, h, w]."""
    pixels = components.vae.decode(latents / components.vae.config["scaling_factor"]).sample
    levels = pixels.clamp(-1, 1).add(1).mul(127.5).round().byte()
    return list(levels.permute(0, 2, 3, 1).cpu().numpy())


@torch.no_grad()
def encode_prompts(components: Components, prompts: list[str]) -> torch.Tensor:
    """Text embeddings [n, tokens, width]; longer prompts are cut at the encoder's length."""
    embeddings: torch.Tensor = components.text_encoder(tokenize(components, prompts))[0]
    return embeddings


def tokenize(components: Components, prompts: list[str]) -> torch.Tensor:
    """Token numbers [n, tokens] of prompts, cut or filled up to the text encoder's length."""
    tokens = components.tokenizer(
        prompts,
        padding="max_length",
        max_length=components.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    numbers: torch.Tensor = tokens.input_ids.to(components.device)
    return numbers
