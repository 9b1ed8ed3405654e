"""Pictures out of a base: from pure noise, or by redrawing a given picture.

DDIM (arXiv:2010.02502) with classifier-free guidance (arXiv:2207.12598); redrawing is SDEdit
(arXiv:2108.01073): noise is added up to a chosen level and taken away again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gpu_runner.engines.diffusion.components import (
    Components,
    Rgb,
    decode_latents,
    describe_prompts,
    encode_pictures,
    sizes_of,
)
from gpu_runner.engines.diffusion.words import Wordings, added_conditions


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How to sample: `steps` of DDIM over the whole schedule, `guidance` 1 meaning none.

    `at_once` pictures are computed together; all if unset.
    """

    steps: int = 20
    guidance: float = 2.0
    seed: int = 0
    at_once: int | None = None

    def rounds(self, count: int) -> int:
        """How many times the steps are gone through for so many pictures."""
        return -(-count // (self.at_once or count))


Tick = Callable[[], None]


def sample(
    components: Components,
    prompt: str,
    count: int,
    config: SamplingConfig,
    tick: Tick | None = None,
) -> list[Rgb]:
    """`count` pictures [side, side, 3] of `prompt` from pure noise; `tick` is called per step."""
    unet = components.unet
    grid = unet.config["sample_size"]
    noise = _noise((count, unet.config["in_channels"], grid, grid), config.seed)
    components.schedule.set_timesteps(config.steps, device=components.device)
    start = noise.to(components.device) * components.schedule.init_noise_sigma
    times = components.schedule.timesteps
    return _denoise(components, prompt, start, times=times, config=config, tick=tick)


def redraw(
    components: Components,
    picture: Rgb,
    prompt: str,
    strength: float,
    config: SamplingConfig,
    *,
    count: int = 1,
    tick: Tick | None = None,
) -> list[Rgb]:
    """`picture` [side, side, 3] drawn anew `count` times, each time from other noise.

    `strength` 0 leaves it as it is, 1 starts from pure noise.
    """
    schedule = components.schedule
    schedule.set_timesteps(config.steps, device=components.device)
    skipped = config.steps - redraw_steps(strength, config)
    times = schedule.timesteps[skipped:]
    latents = encode_pictures(components, [picture]).repeat(count, 1, 1, 1)
    noise = _noise(tuple(latents.shape), config.seed).to(components.device)
    start = schedule.add_noise(latents, noise, times[:1])  # type: ignore[arg-type]
    return _denoise(components, prompt, start, times=times, config=config, tick=tick)


def redraw_steps(strength: float, config: SamplingConfig) -> int:
    """How many steps `redraw` takes."""
    return max(1, round(config.steps * strength))


def _noise(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    # On the CPU, so that a seed means the same picture on every device.
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def _denoise(
    components: Components,
    prompt: str,
    latents: torch.Tensor,
    *,
    times: torch.Tensor,
    config: SamplingConfig,
    tick: Tick | None,
) -> list[Rgb]:
    guided = config.guidance > 1
    told = describe_prompts(components, ["", prompt] if guided else [prompt])
    if guided and told.pooled is not None:
        # SDXL was trained with zeros where there was no prompt.
        told = told.without(0)
    with components.at_work(components.unet):
        done = [
            _denoise_part(components, told, part, times=times, config=config, tick=tick)
            for part in latents.split(config.at_once or len(latents))
        ]
    return decode_latents(components, torch.cat(done))


def _denoise_part(
    components: Components,
    told: Wordings,
    latents: torch.Tensor,
    *,
    times: torch.Tensor,
    config: SamplingConfig,
    tick: Tick | None,
) -> torch.Tensor:
    guided = config.guidance > 1
    told = told.repeat_each(len(latents))
    unet = components.unet
    words = told.embeddings.to(components.format)
    sizes = sizes_of(components, [components.shape] * len(words), components.shape)
    added = added_conditions(told.pooled, sizes)
    for time in times:
        doubled = torch.cat([latents, latents]) if guided else latents
        predicted = unet(
            doubled.to(components.format),
            time,
            words,
            added_cond_kwargs=added,
            return_dict=False,
        )[0].float()
        if guided:
            plain, prompted = predicted.chunk(2)
            predicted = plain + config.guidance * (prompted - plain)
        latents = components.schedule.step(predicted, time, latents, return_dict=False)[0]
        if tick:
            tick()
    return latents
