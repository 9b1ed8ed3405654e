"""Captioned training pictures: lifelike people, avatars, and crops of photographs.

People and avatars are placed on a flat colour, a colour ramp or a blurred photograph, so that the
base has met skin, light and real backgrounds before a user's photos come.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.avatars import BACKGROUNDS, CANVAS, STYLES, StyleCard, colour_name, draw
from pretrain.crew import Crew
from pretrain.files import replaced
from pretrain.people.figure import Figure
from pretrain.people.portrait import Studio
from pretrain.people.traits import somebody
from pretrain.photographs import PHOTOGRAPHS, Picture, crop, load_all, tinted
from pretrain.plan import Plan

SIDE = 64
LIFELIKE_SHARE, PHOTO_SHARE = 0.5, 0.08
"""Of all pictures; the others are avatars."""
MOST_BLUR, MOST_GRAIN = 0.9, 5.0
"""What a camera adds to a lifelike picture: standard deviations, in pixels and in levels."""
GLASSES_SHARE = 0.4
"""Of the drawings in styles that have glasses; unasked they wear them too rarely to be learnt."""
CHUNK = 250


@dataclass(frozen=True, slots=True)
class Dataset:
    """`images` uint8 [n, SIDE, SIDE, 3]; `captions` n lists of phrases; `is_photo` bool [n]."""

    images: NDArray[np.uint8]
    captions: list[list[str]]
    is_photo: NDArray[np.bool_]

    def save(self, file: BinaryIO) -> None:
        """Write all as one `.npz`."""
        joined = np.array(["|".join(phrases) for phrases in self.captions])
        np.savez(file, images=self.images, captions=joined, is_photo=self.is_photo)

    @staticmethod
    def load(path: Path) -> Dataset:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            captions = [str(text).split("|") for text in stored["captions"]]
            return Dataset(stored["images"], captions, stored["is_photo"])


def _ground(hex_colour: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """A background [CANVAS, CANVAS, 3], 0..255."""
    colour = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    flat = np.broadcast_to(colour, (CANVAS, CANVAS, 3)).copy()
    kind = rng.random()
    if kind < 0.6:
        return flat
    if kind < 0.85:
        ramp = np.linspace(rng.uniform(0.7, 1), rng.uniform(0.7, 1.1), CANVAS, dtype=np.float32)
        ramp_2d = ramp[:, None] if rng.random() < 0.5 else ramp[None, :]
        return flat * ramp_2d[..., None]
    photo = crop(load_all()[int(rng.integers(len(PHOTOGRAPHS)))], CANVAS, rng)
    blurred = cv2.GaussianBlur(photo, (0, 0), rng.uniform(2, 8)).astype(np.float32)
    return 0.5 * flat + 0.5 * blurred


def _light(rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth field of light [SIDE, SIDE, 1] around 1: what falls on a face from one side."""
    coarse = rng.uniform(0.72, 1.12, (3, 3)).astype(np.float32)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]


def _face_crop(
    picture: NDArray[np.float32], card: StyleCard, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The square around the face, slightly turned and moved, [SIDE, SIDE, 3]."""
    extent = rng.uniform(*card.zoom) * CANVAS
    jitter = rng.uniform(-0.04, 0.04, 2) * CANVAS
    centre = np.array(card.centre) * CANVAS + jitter
    half = extent / 2
    centre = np.clip(centre, half, CANVAS - half)
    angle = rng.normal(0, 3)
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, SIDE * 2 / extent)
    matrix[:, 2] += SIDE - centre
    twice = cv2.warpAffine(
        picture,
        matrix,
        (SIDE * 2, SIDE * 2),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(twice, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _avatar(number: int, rng: np.random.Generator) -> tuple[Picture, list[str]]:
    shares = np.array([card.share for card in STYLES])
    card = STYLES[int(rng.choice(len(STYLES), p=shares / shares.sum()))]
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    glasses = card.glasses and bool(rng.random() < GLASSES_SHARE)
    drawing, phrases = draw(card, number, background, glasses=glasses)
    alpha = drawing[..., 3:].astype(np.float32) / 255
    picture = drawing[..., :3] * alpha + _ground(background, rng) * (1 - alpha)
    square = _face_crop(picture.astype(np.float32), card, rng)
    if rng.random() < 0.3:
        square = square * _light(rng)
        phrases.append("soft light")
    return np.clip(square, 0, 255).astype(np.uint8), phrases


def _lifelike(studio: Studio, rng: np.random.Generator) -> tuple[Picture, list[str]]:
    who = somebody(studio.figure, rng)
    person = studio.picture(who, rng)
    background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    ground = cv2.resize(_ground(background, rng), person.shape[:2], interpolation=cv2.INTER_AREA)
    alpha = person[..., 3:]
    picture = 255 * person[..., :3] * alpha + ground * (1 - alpha)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.01, MOST_BLUR))
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small = small + rng.normal(0, rng.uniform(0, MOST_GRAIN), small.shape)
    shown = np.clip(small, 0, 255).astype(np.uint8)
    return tinted(shown, rng), [*who.phrases, f"{colour_name(background)} background"]


def _photo(rng: np.random.Generator) -> tuple[Picture, list[str]]:
    which = int(rng.integers(len(PHOTOGRAPHS)))
    return crop(load_all()[which], SIDE, rng), ["photo style", PHOTOGRAPHS[which].subject]


def _draw_chunk(studio: Studio, first: int, count: int, seed: int) -> Dataset:
    """Pictures number `first` to `first + count`, which depend on nothing else but the seed."""
    rng = np.random.default_rng([seed, first])
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    captions: list[list[str]] = []
    kinds = rng.random(count)
    for index, kind in enumerate(kinds):
        if kind < PHOTO_SHARE:
            images[index], phrases = _photo(rng)
        elif kind < PHOTO_SHARE + LIFELIKE_SHARE:
            images[index], phrases = _lifelike(studio, rng)
        else:
            images[index], phrases = _avatar(first + index, rng)
        captions.append(phrases)
    return Dataset(images, captions, kinds < PHOTO_SHARE)


def draw_chunks(crew: Crew, figure: Figure, plan: Plan, folder: Path, size: int = CHUNK) -> None:
    """Draw this worker's share of the pictures into `folder`, `size` in a file.

    What is there is not drawn again; the number of workers makes no difference.
    """
    studio = Studio(figure)
    for first in range(crew.rank * size, plan.pictures, crew.size * size):
        path = folder / f"{first:07d}.npz"
        if not path.exists():
            with replaced(path) as temporary, temporary.open("wb") as file:
                _draw_chunk(studio, first, min(size, plan.pictures - first), plan.seed).save(file)


def join_chunks(folder: Path) -> Dataset:
    """All pictures that `draw_chunks` left in `folder`."""
    parts = [Dataset.load(path) for path in sorted(folder.glob("*.npz"))]
    return Dataset(
        np.concatenate([part.images for part in parts]),
        [phrases for part in parts for phrases in part.captions],
        np.concatenate([part.is_photo for part in parts]),
    )


def say(
    phrases: list[str], rng: np.random.Generator, *, drop: float = 0.1, thin: float = 0.3
) -> str:
    """A prompt: empty with chance `drop`, else each phrase but the first left out with `thin`."""
    if rng.random() < drop:
        return ""
    kept = phrases[:1] + [phrase for phrase in phrases[1:] if rng.random() >= thin]
    subject = "picture" if phrases[0] == "photo style" else "portrait"
    return ", ".join([subject, *kept])
