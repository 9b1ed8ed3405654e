"""The parts of a latent diffusion base, loaded one by one from a diffusers directory.

The whole-pipeline class would import every loader that diffusers has; the parts alone
start in a fraction of the time, and training needs them apart anyway.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from numpy.typing import NDArray
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from gpu_runner.engines.diffusion.buckets import Shape
from gpu_runner.engines.diffusion.words import Wordings, embed
from gpu_runner.stage import processors

Rgb = NDArray[np.uint8]
Model = TypeVar("Model", bound=torch.nn.Module)


@dataclass(frozen=True, slots=True)
class Components:
    """A base ready to train or sample on `device`; `side` is its picture size in pixels.

    SDXL has a second text encoder with a tokenizer of its own. Models that are `resting` are on
    the CPU while they are not used.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    schedule: DDIMScheduler
    device: torch.device
    side: int
    text_encoder_2: CLIPTextModelWithProjection | None = None
    tokenizer_2: CLIPTokenizer | None = None
    resting: tuple[torch.nn.Module, ...] = ()

    @property
    def text_encoders(self) -> tuple[CLIPTextModel | CLIPTextModelWithProjection, ...]:
        """The one, or both."""
        second = self.text_encoder_2
        return (self.text_encoder,) if second is None else (self.text_encoder, second)

    @property
    def shape(self) -> Shape:
        """The square for which the base was made."""
        return Shape(self.side, self.side)

    @property
    def grid(self) -> int:
        """Pixels by whose multiples sides of pictures may differ from the base's own.

        The UNet halves latents so often; a finer grid than an eighth of the side would only leave
        fewer pictures to each shape.
        """
        least = self.side // self.unet.config["sample_size"]
        least *= 2 ** (len(self.unet.config["block_out_channels"]) - 1)
        return math.ceil(self.side / 8 / least) * least

    @property
    def format(self) -> torch.dtype:
        """In which number format the UNet is kept; an adapter in it is float32 always."""
        return self.unet.conv_in.weight.dtype

    @contextlib.contextmanager
    def at_work(self, *models: torch.nn.Module) -> Iterator[None]:
        """Models on the device, for as long as this lasts."""
        woken = [model for model in models if any(model is one for one in self.resting)]
        for model in woken:
            model.to(self.device)
        try:
            yield
        finally:
            for model in woken:
                model.to("cpu")


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
    vae = vae_class.from_pretrained(base / "vae", **options)
    # One picture at a time: all of a person's at once would be the peak of the whole training.
    vae.enable_slicing()
    unet = UNet2DConditionModel.from_pretrained(base / "unet", **options)
    text_encoder = CLIPTextModel.from_pretrained(
        base / "text_encoder", dtype=torch.float32, local_files_only=True
    )
    target = torch.device(device)
    return Components(
        unet=ready(unet, target),
        vae=ready(vae, target),
        text_encoder=ready(text_encoder, target),
        tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True),
        schedule=DDIMScheduler.from_pretrained(base / "scheduler", local_files_only=True),
        device=target,
        side=side_of(unet, vae),
    )


def ready(model: Model, device: torch.device) -> Model:
    """`model` on `device`, to be used and not to be changed."""
    return model.to(device).eval().requires_grad_(False)


def sizes_of(
    components: Components, originals: Sequence[Shape], wanted: Shape
) -> torch.Tensor | None:
    """For SDXL [n, 6]: pictures of these sizes in pixels, not cut, `wanted` at another.

    It has seen enlarged pictures in its training, and was told so: blur is not learned from them.
    """
    if components.text_encoder_2 is None:
        return None
    rows = [[*shape, 0, 0, *wanted] for shape in originals]
    return torch.tensor(rows, device=components.device)


def side_of(unet: UNet2DConditionModel, vae: AutoencoderKL | AutoencoderTiny) -> int:
    """Pixels of the side of a picture for which a base was made."""
    side: int = unet.config["sample_size"] * 2 ** (len(vae.config["block_out_channels"]) - 1)
    return side


def _is_tiny(base: Path) -> bool:
    config: dict[str, str] = AutoencoderTiny.load_config(base / "vae")
    return config["_class_name"] == "AutoencoderTiny"


@torch.no_grad()
def encode_pictures(components: Components, pictures: list[Rgb]) -> torch.Tensor:
    """Scaled latents [n, c, h, w] of pictures of one shape; of a distribution, its mode."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    vae = components.vae
    with components.at_work(vae):
        encoded = vae.encode(pixels.to(components.device, vae.dtype))
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    scaled: torch.Tensor = latents.float() * vae.config["scaling_factor"]
    return scaled


@torch.no_grad()
def decode_latents(components: Components, latents: torch.Tensor) -> list[Rgb]:
    """uint8 pictures [side, side, 3] of scaled latents [n, c, h, w]."""
    vae = components.vae
    with components.at_work(vae):
        pixels = vae.decode((latents / vae.config["scaling_factor"]).to(vae.dtype)).sample.float()
    levels = pixels.clamp(-1, 1).add(1).mul(127.5).round().byte()
    return list(levels.permute(0, 2, 3, 1).cpu().numpy())


@torch.no_grad()
def encode_prompts(components: Components, prompts: list[str]) -> torch.Tensor:
    """Text embeddings [n, tokens, width]; longer prompts are cut at the encoder's length."""
    return describe_prompts(components, prompts).embeddings


@torch.no_grad()
def describe_prompts(components: Components, prompts: list[str]) -> Wordings:
    """Prompts as the UNet is told them; longer ones are cut at the encoder's length."""
    with components.at_work(*components.text_encoders):
        return embed(tokenize(components, prompts), *components.text_encoders)


def tokenize(components: Components, prompts: list[str]) -> torch.Tensor:
    """Token numbers of prompts, cut or filled up to the length of the text encoder.

    [n, tokens] for one text encoder, [n, 2, tokens] for two.
    """
    numbers = _numbers(components.tokenizer, prompts)
    if components.tokenizer_2 is not None:
        numbers = torch.stack([numbers, _numbers(components.tokenizer_2, prompts)], dim=1)
    return numbers.to(components.device)


def _numbers(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    tokens = tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    numbers: torch.Tensor = tokens.input_ids
    return numbers
