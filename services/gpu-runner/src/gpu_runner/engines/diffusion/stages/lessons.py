"""Photos and captions made into what a trainer learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from gpu_runner.engines.diffusion.buckets import Shape, nearest, shapes_for, sort_into
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
from gpu_runner.engines.diffusion.pictures import cut_to, fit, inner
from gpu_runner.engines.diffusion.sampling import sample
from gpu_runner.engines.diffusion.traits import Traits
from gpu_runner.faces.scenes import Scene

BARE_ONE_IN = 4
"""One in so many times a photo is learned without its caption, for prompts that have none."""
AT_ONCE = 4
"""Pictures of anybody that are drawn together."""


@dataclass(frozen=True, slots=True)
class _View:
    """What is cut of one photo, the shape in which it is learned, and the photo's number."""

    cut: Rgb
    shape: Shape
    photo: int


def make_examples(
    components: Components,
    scenes: list[Scene],
    captions: list[str],
    params: PersonConfig,
    traits: Traits,
) -> Examples:
    """Each photo's face at all zooms, plain and, if asked for, mirrored, under its caption.

    Large bases learn scenes, too, each in the shape that is nearest to its own.
    """
    views = list(_views(components, scenes, params, traits))
    buckets = sort_into(view.shape for view in views)
    prompts, of_photos = _wordings(captions, traits.prompt(params.trigger_word, ""))
    latents, photos, sizes = [], [], []
    for shape, places in buckets.items():
        pictures = [fit(views[place].cut, shape) for place in places]
        originals = [Shape(*views[place].cut.shape[:2]) for place in places]
        numbers = [views[place].photo for place in places]
        if params.flip:
            pictures += [picture[:, ::-1] for picture in pictures]
            originals, numbers = originals * 2, numbers * 2
        latents.append(encode_pictures(components, pictures))
        photos += numbers
        sizes.append(sizes_of(components, originals, shape))
    told_sizes = [each for each in sizes if each is not None]
    joined = torch.cat(told_sizes) if told_sizes else None
    of_views = of_photos[photos]
    if params.text_encoder:
        return Examples(tuple(latents), tokenize(components, prompts), of_views, sizes=joined)
    told = describe_prompts(components, prompts)
    return Examples(tuple(latents), told.embeddings, of_views, told.pooled, joined)


def _views(
    components: Components, scenes: list[Scene], params: PersonConfig, traits: Traits
) -> Iterator[_View]:
    shapes = shapes_for(components.side, components.grid)
    for number, scene in enumerate(scenes):
        for zoom in traits.zooms:
            yield _View(inner(scene.face, zoom), components.shape, number)
        if params.learns_scenes and scene.shows_more:
            shape = nearest(Shape(*scene.rgb.shape[:2]), shapes)
            yield _View(cut_to(scene, shape), shape, number)


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
    sizes = sizes_of(components, [components.shape] * len(pictures), components.shape)
    latents = (encode_pictures(components, pictures),)
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
