"""Drawn people with captions, in any number, from the DiceBear styles.

Only styles under CC0 or CC BY are listed; their authors are named in the model card.
Seeds are hashes of numbers, so the sample character of the demo (a `toon-head` whose seed
begins with "sample-") can never be among them.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from numpy.typing import NDArray
from PIL import Image

CANVAS = 144
"""Side of a drawing in pixels, before it is cropped down."""

BACKGROUNDS = (
    "#ffffff", "#f4f1ea", "#d9d9d9", "#8c8c8c", "#2e2e33", "#b6e3f4", "#5b8def", "#2a4d8f",
    "#c9e4c5", "#4f9d69", "#245c3b", "#ffd5dc", "#e86a92", "#f7c948", "#f28c28", "#c0392b",
    "#d1c4e9", "#7e57c2", "#bfa58a", "#6d4c41",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StyleCard:
    """A style, its author and licence, and where in it the face sits.

    `share` is its part of the data, `centre` the face's centre (x, y) and `zoom` the
    (least, most) side of a crop around it, all as fractions of the canvas. `glasses` is
    the component that carries them, none if the style has none.
    """

    name: str
    title: str
    author: str
    licence: str
    share: float
    centre: tuple[float, float]
    zoom: tuple[float, float]
    glasses: str = ""


CC_BY, CC0 = "CC BY 4.0", "CC0 1.0"
STYLES = (
    StyleCard("toon-head", "Toon Head", "Johan Melin", CC_BY, 0.40, (0.5, 0.45), (0.62, 1.0)),
    StyleCard("personas", "Personas", "Draftbit", CC_BY, 0.24, (0.5, 0.47), (0.66, 1.0), "eyes"),
    StyleCard("micah", "Micah", "Micah Lanier", CC_BY, 0.14, (0.5, 0.48), (0.72, 1.0), "glasses"),
    StyleCard(
        "open-peeps", "Open Peeps", "Pablo Stanley", CC0, 0.12, (0.52, 0.45), (0.7, 1.0),
        "accessories",
    ),
    StyleCard(
        "adventurer", "Adventurer", "Lisa Wischofsky", CC_BY, 0.07, (0.5, 0.5), (0.75, 1.0),
        "glasses",
    ),
    StyleCard(
        "lorelei", "Lorelei", "Lisa Wischofsky", CC0, 0.03, (0.5, 0.5), (0.75, 1.0), "glasses"
    ),
)  # fmt: skip

COLOURS = {
    "black": (20, 20, 22), "white": (245, 245, 242), "grey": (140, 140, 142),
    "red": (195, 45, 40), "orange": (240, 135, 45), "yellow": (245, 205, 80),
    "green": (60, 150, 85), "blue": (70, 120, 220), "navy": (30, 50, 125),
    "cyan": (130, 215, 230), "purple": (120, 70, 195), "pink": (240, 130, 165),
    "brown": (105, 65, 45), "auburn": (165, 88, 42), "blond": (212, 178, 112),
    "beige": (235, 205, 175),
}  # fmt: skip

CLOTHES_KEYS = ("clothesColor", "clothingColor", "shirtColor")
BALD = ("bald", "mrclean", "nohair")
HATS = ("hat", "beanie", "cap", "turban", "hijab")
HAIR_SHAPES = ("long", "short", "curly")
MOODS = {"smile": "smiling", "laugh": "laughing", "sad": "sad", "angry": "angry", "frown": "sad"}


@cache
def _definition(name: str) -> dict[str, Any]:
    text = files("dicebear_styles").joinpath(f"{name}.json").read_text("utf-8")
    definition: dict[str, Any] = json.loads(text)
    return definition


@cache
def _style(name: str) -> Style:
    return Style(_definition(name))


def _style_variants(name: str, component: str) -> list[str]:
    return list(_definition(name)["components"][component]["variants"])


def colour_name(hex_colour: str) -> str:
    """The nearest plain name of a `#rrggbb` colour."""
    rgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)])
    return min(COLOURS, key=lambda name: float(((rgb - np.array(COLOURS[name])) ** 2).sum()))


def caption_of(card: StyleCard, options: dict[str, Any], background: str) -> list[str]:
    """The words for a drawing, as phrases that may be left out one by one."""
    return [
        f"{card.name.replace('-', ' ')} style",
        *_hair(options),
        *[f"{colour_name(options[key][0])} clothes" for key in CLOTHES_KEYS if options.get(key)],
        *_face(options),
        f"{colour_name(background)} background",
    ]


def _hair(options: dict[str, Any]) -> list[str]:
    """Its colour, and its shape where the variant's name tells it; or what is there instead."""
    variants = [options.get(key) or "" for key in ("hairVariant", "headVariant", "rearHairVariant")]
    names = " ".join(variants).lower()
    if any(name in names for name in BALD):
        return ["bald"]
    if any(name in names for name in HATS):
        return ["hat"]
    coloured = options.get("hairVariant") and options.get("hairColor")
    shapes = [f"{shape} hair" for shape in HAIR_SHAPES if shape in names][:1]
    return [*([f"{colour_name(options['hairColor'][0])} hair"] if coloured else []), *shapes]


def _face(options: dict[str, Any]) -> list[str]:
    phrases = []
    if any(options.get(key) for key in ("beardVariant", "facialHairVariant")):
        phrases.append("beard")
    worn = " ".join(options.get(f"{part}Variant") or "" for part in ("eyes", "accessories"))
    if "sunglasses" in worn:
        phrases.append("sunglasses")
    elif "glasses" in worn or options.get("glassesVariant"):
        phrases.append("glasses")
    mouth = " ".join(options.get(f"{part}Variant") or "" for part in ("mouth", "expression"))
    phrases += [word for part, word in MOODS.items() if part in mouth.lower()][:1]
    return phrases


def draw(
    card: StyleCard, number: int, background: str, *, glasses: bool = False
) -> tuple[NDArray[np.uint8], list[str]]:
    """One drawing: RGBA uint8 [CANVAS, CANVAS, 4] on nothing, and its caption phrases."""
    # Seeds that differ in the last letter only were seen to give nearly the same features.
    seed = hashlib.sha256(f"pretrain-{number}".encode()).hexdigest()
    wish: dict[str, Any] = {"seed": seed, "size": CANVAS}
    if glasses:
        names = _style_variants(card.name, card.glasses)
        chosen = [name for name in names if name.startswith("glasses")]
        wish[f"{card.glasses}Variant"] = chosen or names
        wish[f"{card.glasses}Probability"] = 100
    avatar = Avatar(_style(card.name), wish)
    png = resvg_py.svg_to_bytes(svg_string=avatar.to_string())
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA").resize((CANVAS, CANVAS))
    return np.asarray(picture), caption_of(card, avatar.to_json()["options"], background)
