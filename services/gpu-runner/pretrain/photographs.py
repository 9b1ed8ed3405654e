"""Photographs that may be used freely: what gives the codec real texture and light.

They come inside scikit-image and scikit-learn, so nothing is fetched. The astronaut is
left out on purpose: tests and the codec's own score use her as the unseen photograph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph, its subject in caption words, its source and its licence."""

    subject: str
    source: str
    licence: str
    load: Callable[[], Picture]


def _grey(picture: Picture) -> Picture:
    return np.repeat(picture[..., None], 3, axis=2)


PHOTOGRAPHS = (
    Photograph("cat", "skimage chelsea, Stefan van der Walt", "CC0", skimage.data.chelsea),
    Photograph(
        "brick wall", "skimage brick, CC0Textures", "CC0", lambda: _grey(skimage.data.brick())
    ),
    Photograph("grass", "skimage grass, linolafett", "CC0", lambda: _grey(skimage.data.grass())),
    Photograph(
        "gravel", "skimage gravel, CC0Textures", "CC0", lambda: _grey(skimage.data.gravel())
    ),
    Photograph(
        "clock",
        "skimage clock, Stefan van der Walt",
        "public domain",
        lambda: _grey(skimage.data.clock()),
    ),
    Photograph("coffee cup", "skimage coffee, Rachel Michetti", "CC0", skimage.data.coffee),
    Photograph("rocket", "skimage rocket, SpaceX", "CC0", skimage.data.rocket),
    Photograph(
        "man with camera",
        "skimage camera, Lav Varshney",
        "CC0",
        lambda: _grey(skimage.data.camera()),
    ),
    Photograph(
        "motorcycle",
        "skimage stereo_motorcycle, Middlebury 2014",
        "CC0",
        lambda: skimage.data.stereo_motorcycle()[0],
    ),
    Photograph(
        "stars", "skimage hubble_deep_field, NASA", "public domain", skimage.data.hubble_deep_field
    ),
    Photograph(
        "temple",
        "scikit-learn china.jpg, danielbuechele",
        "CC BY 2.0",
        lambda: load_sample_image("china.jpg"),
    ),
    Photograph(
        "flower",
        "scikit-learn flower.jpg, vultilion",
        "CC BY 2.0",
        lambda: load_sample_image("flower.jpg"),
    ),
)


@cache
def load_all() -> tuple[Picture, ...]:
    """All photographs [height, width, 3], in the order of `PHOTOGRAPHS`."""
    return tuple(photograph.load() for photograph in PHOTOGRAPHS)


def tinted(picture: Picture, rng: np.random.Generator) -> Picture:
    """`picture` in another light: gain and gamma of each colour changed, and the overall contrast.

    A dozen photographs have few colours between them; what light may do to them has many.
    """
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.85, 1.15, 3)
    gamma = rng.uniform(0.7, 1.4)
    light = (picture.astype(np.float32) / 255) ** gamma * gain
    return (light.clip(0, 1) * 255).round().astype(np.uint8)


def crop(picture: Picture, side: int, rng: np.random.Generator) -> Picture:
    """A random square of `picture`, scaled to [side, side, 3]; between `side` and all of it."""
    height, width = picture.shape[:2]
    extent = int(rng.integers(side, min(height, width) + 1))
    top = int(rng.integers(0, height - extent + 1))
    left = int(rng.integers(0, width - extent + 1))
    square = picture[top : top + extent, left : left + extent]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def unseen_portrait(side: int) -> Picture:
    """The face of the astronaut, [side, side, 3]: never part of the training data."""
    face = skimage.data.astronaut()[0:260, 95:355]
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def unseen_crops(side: int) -> Picture:
    """Squares from all over the astronaut's photograph, [16, side, side, 3]: never trained on."""
    rng = np.random.default_rng(0)
    picture = skimage.data.astronaut()
    return np.stack([crop(picture, side, rng) for _ in range(16)])
