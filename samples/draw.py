# ruff: noqa: INP001 - a script beside what it draws, not a package
"""Draws the sample character: six pictures of one person who does not exist.

Run it with the `pretrain` extra installed: `python samples/draw.py`. The same call always draws
the same pictures. What makes her who she is stands in `CHARACTER`; what changes from photo to
photo, as it would in an album, stands in `PHOTOS`.
"""

from __future__ import annotations

import io
import json
from importlib.resources import files
from pathlib import Path

import resvg_py
from dicebear import Avatar, Style
from PIL import Image

SIDE = 768

CHARACTER = {
    "seed": "sample-mira",
    "skinColor": ["#c68e7a"],
    "hairColor": ["#2c1b18"],
    "hairVariant": "bun",
    "rearHairVariant": "neckHigh",
    "rearHairProbability": 100,
    "beardProbability": 0,
    "mouthVariant": "smile",
    "eyesVariant": "happy",
}

PHOTOS: dict[str, dict[str, object]] = {
    "1-studio": {
        "eyebrowsVariant": "neutral",
        "backgroundColor": ["#b6d8e3"],
        "clothesVariant": "turtleNeck",
        "clothesColor": ["#b11f1f"],
        "scale": 1.08,
        "translateY": 4,
    },
    "2-garden": {
        "eyebrowsVariant": "happy",
        "backgroundColor": ["#bcd9a4", "#7fae74"],
        "backgroundColorFill": "linear",
        "clothesVariant": "tShirt",
        "clothesColor": ["#eab308"],
        "scale": 1.12,
        "translateY": 6,
        "translateX": -3,
        "rotate": 4,
    },
    "3-office": {
        "eyebrowsVariant": "neutral",
        "backgroundColor": ["#e6e0d6", "#c9c2b8"],
        "backgroundColorFill": "linear",
        "backgroundColorAngle": 90,
        "clothesVariant": "openJacket",
        "clothesColor": ["#0b3286"],
        "scale": 1.02,
        "translateY": 2,
        "translateX": 4,
    },
    "4-evening": {
        "eyebrowsVariant": "raised",
        "eyesVariant": "wide",
        "backgroundColor": ["#f2b5a0", "#7d5a8c"],
        "backgroundColorFill": "linear",
        "backgroundColorAngle": 90,
        "clothesVariant": "dress",
        "clothesColor": ["#147f3c"],
        "scale": 1.1,
        "translateY": 5,
        "rotate": -5,
    },
    "5-street": {
        "eyebrowsVariant": "happy",
        "backgroundColor": ["#cfd6dd"],
        "clothesVariant": "shirt",
        "clothesColor": ["#e8e9e6"],
        "scale": 1.22,
        "translateY": 9,
        "flip": "horizontal",
    },
    "6-home": {
        "eyebrowsVariant": "neutral",
        "backgroundColor": ["#f0dcb4"],
        "clothesVariant": "turtleNeck",
        "clothesColor": ["#545454"],
        "scale": 1.0,
        "rotate": 3,
        "translateX": 2,
        "translateY": 4,
    },
}


def draw(options: dict[str, object]) -> Image.Image:
    """Draw somebody; whatever `options` leave open follows from the seed among them."""
    definition = json.loads(files("dicebear_styles").joinpath("toon-head.json").read_text("utf-8"))
    svg = str(Avatar(Style(definition), options))
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")


def main() -> None:
    """Write `photos/<name>.png` beside this script."""
    folder = Path(__file__).parent / "photos"
    folder.mkdir(exist_ok=True)
    for name, options in PHOTOS.items():
        # A drawing has few colours: a palette keeps each file near 30 kB without visible loss.
        picture = draw(CHARACTER | options).quantize(255, dither=Image.Dither.FLOYDSTEINBERG)
        picture.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
