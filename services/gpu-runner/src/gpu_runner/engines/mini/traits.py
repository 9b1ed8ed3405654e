"""What is peculiar to the mini base: it needs torch, as `base` does not."""

from __future__ import annotations

from gpu_runner.engines.diffusion.components import load_components
from gpu_runner.engines.diffusion.files import header
from gpu_runner.engines.diffusion.files.kohya import SD
from gpu_runner.engines.diffusion.sampling import SamplingConfig
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.engines.mini.base import prompt_for

MINI = Traits(
    name="mini",
    family=header.MINI,
    naming=SD,
    prompt=prompt_for,
    zooms=(1.0, 1.08),
    sampling=SamplingConfig(),
    preview=SamplingConfig(steps=4, guidance=1.0),
    load=lambda base, device, _params: load_components(base, device),
    small=True,
)
