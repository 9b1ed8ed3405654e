"""How far generated pictures are from the person in the photos.

Two measures. "face" is the distance of dlib's face embeddings, where below 0.6 means the same
person. It needs a face that the detector sees; on many drawings, and on pictures that are no
face yet, it sees none. Then "latent" is used: the distance of the codec's latents, which
judges colours and layout and says little about a face as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_runner.engines.diffusion.components import Components, Rgb, encode_pictures
from gpu_runner.engines.diffusion.pictures import enlarge, shrink

FACE_SIDE = 256
"""Faces are embedded at this size: small samples are enlarged, so that a detector can see them."""
REFERENCES = 4
"""Photos beyond the best few change the mean little and cost time."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Mean distances to the photos by `measure` ("face" or "latent"), one per group of pictures."""

    measure: str
    distances: tuple[float, ...]


def measure_likeness(
    components: Components, photos: Sequence[Rgb], groups: Sequence[Sequence[Rgb]]
) -> Likeness:
    """Compare each group of pictures with `photos`; one measure for all, so that they compare.

    "face" is taken if a face is seen in a photo and in at least half of each group.
    """
    references = _embeddings(photos[:REFERENCES])
    faces = [_embeddings(group) for group in groups] if references else []
    if references and all(2 * len(seen) >= len(g) for seen, g in zip(faces, groups, strict=True)):
        return Likeness("face", tuple(_face_distance(seen, references) for seen in faces))
    known = _latents(components, photos[:REFERENCES])
    distances = (_latent_distance(_latents(components, group), known) for group in groups)
    return Likeness("latent", tuple(distances))


def _embeddings(pictures: Sequence[Rgb]) -> list[NDArray[np.float64]]:
    # What it takes of memory is not wanted while a LoRA is trained.
    from gpu_runner.faces.identity import embed

    found = (embed(enlarge(picture, FACE_SIDE)) for picture in pictures)
    return [embedding for embedding in found if embedding is not None]


def _face_distance(
    seen: Sequence[NDArray[np.float64]], references: Sequence[NDArray[np.float64]]
) -> float:
    centre = np.mean(references, axis=0)
    return round(float(np.mean([np.linalg.norm(one - centre) for one in seen])), 4)


def _latents(components: Components, pictures: Sequence[Rgb]) -> torch.Tensor:
    return encode_pictures(components, [shrink(one, components.side) for one in pictures])


def _latent_distance(pictures: torch.Tensor, known: torch.Tensor) -> float:
    """Root mean square distance of each picture to the nearest known one, on average."""
    gaps = (pictures[:, None] - known[None]).square().mean((2, 3, 4)).sqrt()
    return round(gaps.min(1).values.mean().item(), 4)
