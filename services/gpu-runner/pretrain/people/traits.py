"""Who somebody is and how they are seen: drawn at random, with the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from pretrain.avatars import colour_name
from pretrain.people.figure import Figure, Points, Worn

OLD = 0.55
"""The age, 0 (young) to 1 (old), from which on somebody is called old."""
HAIR_COLOURS = (
    "#17120f", "#2b1d16", "#4a3020", "#6b4630", "#8a5a33", "#b07c45", "#d4b06e", "#e6d3a3",
    "#a5482a", "#8d8d8d", "#d9d9d6",
)  # fmt: skip
GREYS = 2
"""The last colours of hair, which only the old have."""
SHAPES = {
    "short01": "short", "short02": "short", "short04": "short", "afro01": "curly",
    "Braid01": "chin length", "bob02": "chin length", "long01": "long", "ponytail01": "tied",
}  # fmt: skip
"""Of the hair that leaves both eyes to be seen."""
MASCULINE = ("short01", "short02", "short04", "afro01", "long01")
PAIRED = ("eyes/r-", "ears/r-", "cheek/r-")
CHANGED_GROUPS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek")
EXTREME = ("head/head-trans", "head/head-age", "mouth/mouth-trans-in", "mouth/mouth-trans-out")


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp in direction `lamp` [3] of `colour` [3] around 1, and how much light is all around."""

    lamp: Points
    colour: Points
    ambient: float


@dataclass(frozen=True, slots=True)
class Glasses:
    """Half the width and height of a lens and the frame's thickness, in distances of the eyes."""

    size: tuple[float, float]
    thickness: float
    colour: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Traits:
    """A person, dressed, seen and lit, and the words for them.

    `amounts` are of the figure's morph targets. Colours are red, green and blue in 0-1. `turn` is
    yaw, pitch and roll in radians, `zoom` the picture's side in widths of the face.
    """

    amounts: dict[str, float]
    skin: str
    tone: Points
    iris: int
    hair: Worn | None
    hair_colour: Points
    brows: Worn
    beard: float
    glasses: Glasses | None
    clothes: Worn
    cloth_colour: Points
    turn: tuple[float, float, float]
    zoom: float
    light: Light
    phrases: list[str]


def somebody(figure: Figure, rng: np.random.Generator) -> Traits:
    """A person at random."""
    male, age = bool(rng.random() < 0.5), float(rng.beta(1.1, 1.6))
    smile = float(rng.uniform(0.3, 0.9)) if rng.random() < 0.5 else 0.0
    amounts = _kind(male, age, rng) | _features(figure, rng) | _mood(smile, rng)
    heritage = str(rng.choice(["light", "dark"], p=[0.7, 0.3]))
    hair, hair_words, hair_colour = _hair(figure, male, age, rng)
    dressed = [each for each in figure.worn["clothes"] if each.name.startswith(_sex(male))]
    cloth = f"#{int(rng.integers(1 << 24)):06x}"
    beard = float(rng.uniform(0.4, 1)) if male and rng.random() < 0.4 else 0.0
    glasses = _glasses(rng) if rng.random() < 0.25 else None
    phrases = [
        "lifelike style",
        f"{'old ' if age > OLD else ''}{'man' if male else 'woman'}",
        *hair_words,
        f"{colour_name(cloth)} clothes",
        *(["beard"] if beard else []),
        *(["glasses"] if glasses else []),
        *(["smiling"] if smile else []),
    ]
    return Traits(
        amounts=amounts,
        skin=_skin(figure, heritage, male, age, rng),
        tone=np.clip(rng.normal(1, 0.06) * (1 + rng.normal(0, 0.03, 3)), 0.75, 1.2),
        iris=int(rng.integers(len(figure.eyes.textures))),
        hair=hair,
        hair_colour=hair_colour,
        brows=_one_of(figure.worn["eyebrows"], rng),
        beard=beard,
        glasses=glasses,
        clothes=_one_of(dressed, rng),
        cloth_colour=_colour(cloth),
        turn=(float(rng.normal(0, 0.22)), float(rng.normal(0, 0.1)), float(rng.normal(0, 0.06))),
        zoom=float(rng.uniform(1.75, 2.7)),
        light=_light(rng),
        phrases=phrases,
    )


def _sex(male: bool) -> str:
    return "male_" if male else "female_"


def _one_of(choice: list[Worn], rng: np.random.Generator) -> Worn:
    return choice[int(rng.integers(len(choice)))]


def _colour(code: str) -> Points:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def _light(rng: np.random.Generator) -> Light:
    azimuth, height = rng.uniform(-1.2, 1.2), rng.uniform(-0.1, 1.0)
    lamp = [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
    warmth = 1 + rng.uniform(-0.08, 0.08) * np.array([1, 0, -1])
    return Light(
        np.array(lamp, np.float32), warmth.astype(np.float32), float(rng.uniform(0.25, 0.65))
    )


def _glasses(rng: np.random.Generator) -> Glasses:
    dark = float(rng.uniform(0, 0.25))
    red, green, blue = rng.uniform(0, 0.7, 3) if rng.random() < 0.3 else (dark, dark, dark)
    size = (float(rng.uniform(0.34, 0.44)), float(rng.uniform(0.24, 0.38)))
    return Glasses(size, float(rng.uniform(0.03, 0.08)), (float(red), float(green), float(blue)))


def _kind(male: bool, age: float, rng: np.random.Generator) -> dict[str, float]:
    """Sex, age, heritage and build, in shares that come to one each."""
    sex = "male" if male else "female"
    amounts = {}
    heritages = rng.dirichlet([0.5, 0.5, 0.5])
    for heritage, part in zip(("african", "asian", "caucasian"), heritages, strict=True):
        for name, share in (("young", 1 - age), ("old", age)):
            amounts[f"macrodetails/{heritage}-{sex}-{name}"] = float(part * share)
    heavy = float(rng.normal(0, 0.45))
    weight = "maxweight" if heavy > 0 else "minweight"
    for name, share in (("young", 1 - age), ("old", age)):
        build = f"macrodetails/universal-{sex}-{name}-averagemuscle"
        amounts[f"{build}-averageweight"] = share * (1 - min(abs(heavy), 1))
        amounts[f"{build}-{weight}"] = share * min(abs(heavy), 1)
    return amounts


@cache
def _changeable(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        name
        for name in names
        if name.split("/")[0] in CHANGED_GROUPS
        and not name.startswith(EXTREME)
        and "/l-" not in name
    )


def _features(figure: Figure, rng: np.random.Generator) -> dict[str, float]:
    """What sets a face apart from others."""
    names = _changeable(tuple(figure.targets))
    chosen = rng.choice(len(names), size=20, replace=False)
    amounts = {}
    for index in chosen:
        amount = float(min(abs(rng.normal(0, 0.33)), 0.9))
        name = names[index]
        amounts[name] = amount
        if name.startswith(PAIRED):
            amounts[name.replace("/r-", "/l-")] = amount
    return amounts


def _mood(smile: float, rng: np.random.Generator) -> dict[str, float]:
    units = "expression/units/caucasian"
    mood = {f"{units}/mouth-corner-puller": smile}
    if smile > 0.45 or rng.random() < 0.1:
        mood[f"{units}/mouth-open"] = float(rng.uniform(0.05, 0.3))
        mood[f"{units}/mouth-part-later"] = smile * 0.5
    slit = float(rng.uniform(0, 0.2))
    brows = float(rng.uniform(0, 0.3))
    way = "down" if rng.random() < 0.25 else "up"
    for side in ("left", "right"):
        mood[f"{units}/eye-{side}-slit"] = slit
        mood[f"{units}/eyebrows-{side}-{way}"] = brows
    return mood


def _skin(figure: Figure, heritage: str, male: bool, age: float, rng: np.random.Generator) -> str:
    wanted = "old" if age > OLD + 0.15 else "middleage" if age > OLD - 0.2 else "young"
    sex = "_male_" if male else "_female_"
    fitting = [
        name
        for name in figure.skins
        if name.startswith(wanted) and sex in name and heritage in name
    ]
    return fitting[int(rng.integers(len(fitting)))]


def _hair(
    figure: Figure, male: bool, age: float, rng: np.random.Generator
) -> tuple[Worn | None, list[str], Points]:
    grey = age > OLD and rng.random() < 0.6
    colours = HAIR_COLOURS[-GREYS:] if grey else HAIR_COLOURS[:-GREYS]
    code = colours[int(rng.integers(len(colours)))]
    if rng.random() < (0.18 if male else 0.02):
        return None, ["bald"], _colour(code)
    fitting = [each for each in figure.worn["hair"] if each.name in (MASCULINE if male else SHAPES)]
    hair = _one_of(fitting, rng)
    return hair, [f"{colour_name(code)} hair", f"{SHAPES[hair.name]} hair"], _colour(code)
