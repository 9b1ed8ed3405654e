"""Captions: words for what a picture shows beside the person.

What a caption names is learned under its own words; what it does not name is learned with the
trigger word. So the background and the light are named, from the pixels alone, and a prompt that
asks for another background is heard. The person is never described: that is the trigger's part.

Each crop carries its words inside its file, so they go wherever it goes and in whatever order.
`captions.json` has them all, to be read, or changed and given to a training in their place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_runner.faces.crop_files import SEPARATOR, words_of

COLOURS = {
    "black": (20, 20, 22), "white": (245, 245, 242), "grey": (140, 140, 142),
    "red": (195, 45, 40), "orange": (240, 135, 45), "yellow": (245, 205, 80),
    "green": (60, 150, 85), "blue": (70, 120, 220), "navy": (30, 50, 125),
    "cyan": (130, 215, 230), "purple": (120, 70, 195), "pink": (240, 130, 165),
    "brown": (105, 65, 45), "beige": (235, 205, 175),
}  # fmt: skip
"""sRGB of the colours a background can have, by the words that the built-in base knows."""
ONE_COLOUR, TWO_COLOURS = 0.6, 0.25
"""Shares of the background from which on its first, and its second colour is named."""
COLOURLESS = 4.0
"""Mean chroma in Lab up to which a picture is black and white; faint casts of scans are below."""
DARK, BRIGHT = 35.0, 80.0
"""Mean lightness, 0-100, beyond which the light is named."""
FILE_VERSION = 1
MAX_CAPTION = 400
"""Characters of a caption that are used; more is no caption of ours."""


def phrases_for(crop: NDArray[np.uint8]) -> tuple[str, ...]:
    """Words for a portrait crop (side, side, 3): background, light, and missing colours."""
    lab = _lab(crop)
    words = [_background(lab)]
    lightness = float(lab[..., 0].mean())
    if lightness < DARK:
        words.append("dark light")
    elif lightness > BRIGHT:
        words.append("bright light")
    if is_grey(crop):
        words.append("black and white photo")
    return tuple(words)


def is_grey(crop: NDArray[np.uint8]) -> bool:
    """Whether a picture (height, width, 3) is black and white, in whatever mode it was saved."""
    lab = _lab(crop)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean()) < COLOURLESS


def write_captions(path: Path, phrases: Sequence[Sequence[str]]) -> Path:
    """Write the phrases of each face crop, in the crops' order, and return `path`."""
    content = {"version": FILE_VERSION, "captions": [list(each) for each in phrases]}
    path.write_text(json.dumps(content, indent=1))
    return path


def captions_of(inputs: Mapping[str, Sequence[Path]], opening: str) -> list[str]:
    """A prompt for each file of input `faces`: `opening`, then what is said of the picture.

    Input `captions`, a file as `write_captions` makes it, goes before what the crops themselves
    say. Crops without words, and all if that file does not fit them, get `opening` alone.
    """
    faces = inputs.get("faces", ())
    told = [_read(path) for path in inputs.get("captions", ())]
    if not told:
        told = [[_bounded(words_of(path)) for path in faces]]
    if len(told) != 1 or len(told[0]) != len(faces):
        return [opening] * len(faces)
    return [SEPARATOR.join(filter(None, (opening, phrase))) for phrase in told[0]]


def _read(path: Path) -> list[str]:
    try:
        content: Any = json.loads(path.read_text())
        if content["version"] != FILE_VERSION:
            return []
        phrases = [SEPARATOR.join(str(word) for word in each) for each in content["captions"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [_bounded(text) for text in phrases]


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_CAPTION else ""


def _background(lab: NDArray[np.float32]) -> str:
    """The colours beside and above the head: there the person is not."""
    side = lab.shape[0]
    margin, head = round(0.14 * side), round(0.5 * side)
    parts = (lab[:head, :margin], lab[:head, -margin:], lab[: side // 20])
    pixels = np.concatenate([part.reshape(-1, 3) for part in parts])
    names = list(COLOURS)
    known = _lab(np.array([list(COLOURS.values())], np.uint8))[0]
    nearest = np.linalg.norm(pixels[:, None] - known[None], axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(names)) / len(nearest)
    first, second = (int(index) for index in np.argsort(-shares, kind="stable")[:2])
    if shares[first] >= ONE_COLOUR or shares[second] < TWO_COLOURS:
        only = shares[first] >= TWO_COLOURS
        return f"{names[first]} background" if only else "colourful background"
    return f"{names[first]} and {names[second]} background"


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE Lab of sRGB bytes: lightness 0-100."""
    # Not for who only reads captions: OpenCV takes 15 MB.
    import cv2

    scaled = (rgb / np.float32(255)).astype(np.float32)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab), np.float32)
