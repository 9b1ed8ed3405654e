"""Photos and captions made into what a trainer learns from."""

from __future__ import annotations

import torch

from gpu_runner.engines.diffusion.components import (
    Components,
    Rgb,
    describe_prompts,
    encode_pictures,
    sizes_of,
    tokenize,
)
from gpu_runner.engines.diffusion.config import PersonConfig
from gpu_runner.engines.diffusion.examples import Examples
from gpu_runner.engines.diffusion.pictures import inner, resize
from gpu_runner.engines.diffusion.traits import Traits

BARE_ONE_IN = 4
"""One in so many times a photo is learned without its caption, for prompts that have none."""


def make_examples(
    components: Components,
    photos: list[Rgb],
    captions: list[str],
    params: PersonConfig,
    traits: Traits,
) -> Examples:
    """Each photo at all zooms, plain and, if asked for, mirrored, under its caption."""
    zooms = traits.zooms
    cuts = [inner(photo, zoom) for photo in photos for zoom in zooms]
    views = [resize(cut, components.side) for cut in cuts]
    sizes = sizes_of(components, [cut.shape[0] for cut in cuts] * (1 + params.flip))
    if params.flip:
        views += [view[:, ::-1] for view in views]
    prompts, of_photos = _wordings(captions, traits.prompt(params.trigger_word, ""))
    of_views = of_photos.repeat_interleave(len(zooms), dim=0).repeat(1 + params.flip, 1)
    latents = encode_pictures(components, views)
    if params.text_encoder:
        return Examples(latents, tokenize(components, prompts), of_views, sizes=sizes)
    told = describe_prompts(components, prompts)
    return Examples(latents, told.embeddings, of_views, told.pooled, sizes)


def _wordings(captions: list[str], bare: str) -> tuple[list[str], torch.Tensor]:
    """All prompts, and which of them each photo has [photos, k]: now and then the bare one."""
    prompts = list(dict.fromkeys([bare, *captions]))
    if len(prompts) == 1:
        return prompts, torch.zeros((len(captions), 1), dtype=torch.long)
    own = [prompts.index(caption) for caption in captions]
    return prompts, torch.tensor([[number] * (BARE_ONE_IN - 1) + [0] for number in own])
