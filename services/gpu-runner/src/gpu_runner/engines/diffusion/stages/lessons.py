"""Photos and captions made into what a trainer learns from."""

from __future__ import annotations

from dataclasses import replace

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
from gpu_runner.engines.diffusion.sampling import sample
from gpu_runner.engines.diffusion.traits import Traits

BARE_ONE_IN = 4
"""One in so many times a photo is learned without its caption, for prompts that have none."""
AT_ONCE = 4
"""Pictures of anybody that are drawn together."""


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


def make_prior(
    components: Components, params: PersonConfig, traits: Traits, seed: int
) -> Examples | None:
    """What the base draws of anybody before an adapter is in it, to be kept in mind.

    None if the parameters do not ask for it. It follows from the seed, so a resumed training draws
    the same again.
    """
    if not params.prior_weight:
        return None
    anybody = " ".join(traits.prompt("", "").split())
    sampling = replace(traits.sampling, seed=seed, at_once=traits.sampling.at_once or AT_ONCE)
    pictures = sample(components, anybody, params.prior_pictures, sampling)
    sizes = sizes_of(components, [components.side] * len(pictures))
    latents = encode_pictures(components, pictures)
    if params.text_encoder:
        return Examples(latents, tokenize(components, [anybody]), sizes=sizes)
    told = describe_prompts(components, [anybody])
    return Examples(latents, told.embeddings, pooled=told.pooled, sizes=sizes)


def _wordings(captions: list[str], bare: str) -> tuple[list[str], torch.Tensor]:
    """All prompts, and which of them each photo has [photos, k]: now and then the bare one."""
    prompts = list(dict.fromkeys([bare, *captions]))
    if len(prompts) == 1:
        return prompts, torch.zeros((len(captions), 1), dtype=torch.long)
    own = [prompts.index(caption) for caption in captions]
    return prompts, torch.tensor([[number] * (BARE_ONE_IN - 1) + [0] for number in own])
