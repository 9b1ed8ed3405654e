"""Stable Diffusion 1.5 and XL, from a diffusers directory or from one file, onto a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors import SafetensorError
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from gpu_runner.engines.diffusion.components import Components, ready, side_of
from gpu_runner.engines.diffusion.config import Part, Precision
from gpu_runner.engines.diffusion.exhaustion import ran_out
from gpu_runner.engines.diffusion.precision import number_format
from gpu_runner.engines.diffusion.sources import Source, open_source, variant_of
from gpu_runner.stage import StageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How to load: the UNet and text encoders in `format`; see the fields of `LargeConfig`.

    The VAE is kept in float32, in which alone SDXL's does not overflow, unless `half_vae` is
    the folder of one that does not overflow in half precision either.
    """

    format: torch.dtype = torch.float32
    resting: frozenset[Part] = frozenset()
    vae_tiles: bool = False
    half_vae: Path | None = None


class LargeParams(Protocol):
    """What parameters of every stage on a large base have."""

    precision: Precision
    vae_tiles: bool

    @property
    def resting(self) -> frozenset[Part]:
        """What waits in the machine's own memory while it is not used."""


def load_large(
    base: Path,
    family: str,
    settings: Path | None,
    device: str,
    params: LargeParams,
    *,
    half_vae: Path | None = None,
) -> Components:
    """Look whether a base is one, and load it as a stage's parameters want it.

    Raises:
        StageError: as `open_source` and `load_base`.

    """
    how = Loading(
        format=number_format(params.precision, torch.device(device)),
        resting=params.resting,
        vae_tiles=params.vae_tiles,
        half_vae=half_vae,
    )
    return load_base(open_source(base, family, settings), device, how)


def load_base(source: Source, device: str, how: Loading) -> Components:
    """Load a base, the parts that wait into the machine's own memory.

    Raises:
        StageError: `base-unreadable`, `memory-exhausted`.

    """
    try:
        models = _from_file(source, how) if source.is_file else _from_directory(source, how)
        if how.half_vae is not None:
            options = _options(how.half_vae, how.format)
            models["vae"] = AutoencoderKL.from_pretrained(how.half_vae, **options)
        models["schedule"] = DDIMScheduler.from_pretrained(
            source.settings / "scheduler", local_files_only=True
        )
        return _assemble(models, torch.device(device), how)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if ran_out(error):
            raise StageError(
                "memory-exhausted",
                "the weights of the base do not fit into the device's memory",
                "Choose the engine sd15 or mini, or a device with more memory",
            ) from error
        raise StageError(
            "base-unreadable",
            "the weights of the base do not fit its own configuration",
            "Get it again as a whole; a single file must be of the plain architecture",
        ) from error


def _assemble(models: dict[str, Any], device: torch.device, how: Loading) -> Components:
    """Put each model where it belongs; one with a weight missing cannot be put anywhere."""
    unet, vae = models["unet"], models["vae"]
    encoders = [models[name] for name in ("text_encoder", "text_encoder_2") if name in models]
    side = side_of(unet, vae)
    _spare_memory(vae, side, tiles=how.vae_tiles)
    parts = [(Part.UNET, unet), (Part.VAE, vae), *((Part.TEXT, one) for one in encoders)]
    resting = [model for part, model in parts if part in how.resting and device.type != "cpu"]
    for part, model in parts:
        ready(model, torch.device("cpu") if part in how.resting else device)
    return Components(
        unet=unet,
        vae=vae,
        text_encoder=models["text_encoder"],
        tokenizer=models["tokenizer"],
        schedule=models["schedule"],
        device=device,
        side=side,
        text_encoder_2=models.get("text_encoder_2"),
        tokenizer_2=models.get("tokenizer_2"),
        resting=tuple(resting),
    )


def _from_directory(source: Source, how: Loading) -> dict[str, Any]:
    base = source.path
    words: dict[str, Any] = {"text_encoder": CLIPTextModel}
    if (base / "text_encoder_2").is_dir():
        words["text_encoder_2"] = CLIPTextModelWithProjection
    models: dict[str, Any] = {
        "unet": UNet2DConditionModel.from_pretrained(
            base / "unet", **_options(base / "unet", how.format)
        ),
        "vae": AutoencoderKL.from_pretrained(base / "vae", **_options(base / "vae", torch.float32)),
    }
    for name, kind in words.items():
        options = _options(base / name, how.format)
        options["dtype"] = options.pop("torch_dtype")
        models[name] = kind.from_pretrained(base / name, **options)
        tokenizer = name.replace("text_encoder", "tokenizer")
        models[tokenizer] = CLIPTokenizer.from_pretrained(base / tokenizer, local_files_only=True)
    return models


def _options(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "torch_dtype": dtype,
        "local_files_only": True,
        "use_safetensors": True,
        "variant": variant_of(folder),
    }


def _from_file(source: Source, how: Loading) -> dict[str, Any]:
    # The pipelines alone know how the parts of a single file are named.
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    is_xl = (source.settings / "text_encoder_2").is_dir()
    kind = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    unused = {"feature_extractor": None, "image_encoder": None}
    if not is_xl:
        unused["safety_checker"] = None
    pipeline = kind.from_single_file(
        str(source.path),
        config=str(source.settings),
        local_files_only=True,
        torch_dtype=how.format,
        **unused,
    )
    models = dict(pipeline.components)
    models["vae"].to(torch.float32)
    return models


def _spare_memory(vae: AutoencoderKL, side: int, *, tiles: bool) -> None:
    """Have the VAE take pictures one by one, and if asked for, each in four overlapping tiles."""
    vae.enable_slicing()
    if tiles:
        vae.enable_tiling()
        shrinking = 2 ** (len(vae.config["block_out_channels"]) - 1)
        vae.tile_sample_min_size = side // 2
        vae.tile_latent_min_size = side // 2 // shrinking
