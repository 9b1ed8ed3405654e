"""A figure with an egg for a head: all that the drawing of people needs, in a few triangles."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pretrain.people.figure import Figure, Surface, Worn

CENTRE = np.array([0.0, 7.2, 0.4], np.float32)
RADII = np.array([0.75, 1.1, 0.95], np.float32)
EYES = np.array([[-0.33, 7.28, 1.31], [0.33, 7.28, 1.31]], np.float32)
PLAIN = ("head", "nose", "chin")


def ball(centre: np.ndarray, radii: np.ndarray, rings: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of an ellipsoid, seen from outside anticlockwise."""
    down, around = np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings)
    phi, theta = (each.ravel() for each in np.meshgrid(down, around, indexing="ij"))
    shape = np.stack([np.sin(phi) * np.sin(theta), np.cos(phi), np.sin(phi) * np.cos(theta)], 1)
    wide = 2 * rings
    first = (np.arange(rings - 1)[:, None] * wide + np.arange(wide - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([first, first + wide, first + 1], 1),
            np.stack([first + 1, first + wide, first + wide + 1], 1),
        ]
    )
    return (shape * radii + centre).astype(np.float32), triangles.astype(np.int32)


def surface(triangles: np.ndarray) -> Surface:
    from pretrain.people.figure import Surface

    return Surface(triangles, np.full((len(triangles), 3, 2), 0.5, np.float32))


def worn(name: str, vertices: np.ndarray, triangles: np.ndarray, colour: int) -> Worn:
    """Something that hangs on the figure's first vertex."""
    from pretrain.people.figure import Worn

    own = np.full((8, 8, 4), colour, np.uint8)
    own[..., 3] = 255
    anchors = np.zeros((len(vertices), 3), np.int32)
    weights = np.tile(np.array([1, 0, 0], np.float32), (len(vertices), 1))
    head, _ = ball(CENTRE, RADII)
    return Worn(name, surface(triangles), anchors, weights, vertices - head[0], [own])


def egghead() -> Figure:
    """Somebody without features: every change of the figure changes nothing."""
    from pretrain.people.figure import Figure

    vertices, triangles = ball(CENTRE, RADII)
    still = np.zeros((len(vertices), 3), np.int16)
    macro = [
        f"macrodetails/{heritage}-{sex}-{age}"
        for heritage in ("african", "asian", "caucasian")
        for sex in ("male", "female")
        for age in ("young", "old")
    ]
    macro += [
        f"macrodetails/universal-{sex}-{age}-averagemuscle-{weight}"
        for sex in ("male", "female")
        for age in ("young", "old")
        for weight in ("averageweight", "minweight", "maxweight")
    ]
    units = [
        f"expression/units/caucasian/{name}"
        for name in (
            *("mouth-corner-puller", "mouth-open", "mouth-part-later"),
            *(f"eye-{side}-slit" for side in ("left", "right")),
            *(f"eyebrows-{side}-{way}" for side in ("left", "right") for way in ("up", "down")),
        )
    ]
    features = [f"{group}/{group}-{number}" for group in PLAIN for number in range(10)]
    pupils = [ball(eye, np.full(3, 0.12), 5) for eye in EYES]
    eyes = np.concatenate([vertices for vertices, _ in pupils])
    seen = np.concatenate([pupils[0][1], pupils[1][1] + len(pupils[0][0])])
    hair = ball(CENTRE + np.array([0, 0.6, -0.3], np.float32), RADII * 0.9)
    shoulders = ball(np.array([0, 5.4, 0.2], np.float32), np.array([1.6, 0.6, 0.6], np.float32))
    skin = np.full((8, 8, 4), 180, np.uint8)
    sexes = ("male", "female")
    looks = ("young", "middleage", "old"), ("light", "dark"), sexes
    return Figure(
        vertices,
        surface(triangles),
        dict.fromkeys((*macro, *units, *features), still),
        {f"{age}_{shade}skinned_{sex}_diffuse": skin for age, shade, sex in product(*looks)},
        {
            "hair": [worn("short01", *hair, 90)],
            "eyebrows": [worn("eyebrow001", eyes + np.float32([0, 0.2, 0]), seen, 60)],
            "eyes": [worn("Low-Poly", eyes, seen, 255)],
            "eyelashes": [worn("eyelashes01", eyes, seen, 0)],
            "teeth": [worn("Teeth_Base", eyes - np.float32([0, 0.7, 0.4]), seen, 230)],
            "clothes": [worn(f"{sex}_suit", *shoulders, 120) for sex in sexes],
        },
    )
