"""What is peculiar to Stable Diffusion 1.5."""

from __future__ import annotations

from pathlib import Path

from gpu_runner.engines.diffusion.components import Components
from gpu_runner.engines.diffusion.files import header
from gpu_runner.engines.diffusion.files.kohya import SD
from gpu_runner.engines.diffusion.loading import load_large
from gpu_runner.engines.diffusion.prompts import photo_of
from gpu_runner.engines.diffusion.sampling import SamplingConfig
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.engines.sd15 import generate_portrait, train_lora
from gpu_runner.models.weights import settings_of


def _load(
    base: Path, device: str, params: train_lora.Params | generate_portrait.Params
) -> Components:
    return load_large(base, "sd15", settings_of("sd15"), device, params)


SD15 = Traits(
    name="sd15",
    family=header.SD15,
    naming=SD,
    prompt=photo_of,
    zooms=(1.0,),
    sampling=SamplingConfig(steps=25, guidance=6.5, at_once=4),
    preview=SamplingConfig(steps=12, guidance=6.5, at_once=2),
    load=_load,
)
