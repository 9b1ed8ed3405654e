"""What is peculiar to Stable Diffusion XL."""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.components import Components
from gpu_runner.engines.diffusion.files import header
from gpu_runner.engines.diffusion.files.kohya import SDXL as NAMES
from gpu_runner.engines.diffusion.loading import load_large
from gpu_runner.engines.diffusion.prompts import photo_of
from gpu_runner.engines.diffusion.sampling import SamplingConfig
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.engines.sdxl import generate_portrait, train_lora
from gpu_runner.models.weights import settings_of, weights_of


def _load(
    base: Path, device: str, params: train_lora.Params | generate_portrait.Params
) -> Components:
    half_vae = weights_of("sdxl-vae") if params.half_vae else None
    return load_large(base, "sdxl", settings_of("sdxl"), device, params, half_vae=half_vae)


SDXL = Traits(
    name="sdxl",
    family=header.SDXL,
    naming=NAMES,
    prompt=photo_of,
    zooms=(1.0,),
    sampling=SamplingConfig(steps=25, guidance=6.0, at_once=1),
    preview=SamplingConfig(steps=12, guidance=6.0, at_once=1),
    load=_load,
)
