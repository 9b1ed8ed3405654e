"""A portrait of somebody: skin, eyes, hair, clothes and glasses, seen and lit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.people.figure import Figure, Points, Worn
from pretrain.people.light import Shadows, lit
from pretrain.people.splats import Cloud, Colours, drawn, normals, scattered
from pretrain.people.traits import Glasses, Traits
from pretrain.people.view import SIDE, View, rotated

AWAY = -0.1
"""What faces away from the camera by more than this is not seen."""
IN_SOCKETS = 0.15
"""How much of a shadow reaches eyes; the map of shadows is too coarse for their lids."""
THIN = 0.12
"""How opaque lashes are drawn, of which a point is many times as thick."""
CROWN = np.array([0.0, 7.3, 0.4], np.float32)
"""The middle of a head, of the figure that is nobody; so the heights of a beard."""
CHIN, UNDER_NOSE, CHEEK = 5.95, 6.78, 7.0


@dataclass(frozen=True, slots=True)
class Part:
    """Points [n, 3], which way they face [n, 3], and their colours and opacity [n, 4].

    `shine` is how they glint, `shaded` how much of a shadow reaches them.
    """

    points: Points
    facing: Points
    colours: Colours
    shine: float = 0.0
    shaded: float = 1.0

    def thinned(self, rng: np.random.Generator) -> Part:
        """As many of the points as are opaque."""
        kept = np.flatnonzero(rng.random(len(self.points)) < self.colours[:, 3])
        return replace(
            self, points=self.points[kept], facing=self.facing[kept], colours=self.colours[kept]
        )


@dataclass(slots=True)
class Studio:
    """Draws people; what does not change from one to the next is made once."""

    figure: Figure
    _clouds: dict[str, Cloud] = field(default_factory=dict)
    _paints: dict[tuple[str, int | str], Colours] = field(default_factory=dict)

    def picture(self, who: Traits, rng: np.random.Generator) -> NDArray[np.float32]:
        """A picture [SIDE, SIDE, 4] of somebody, all 0-1, with nothing behind them."""
        vertices = self.figure.shaped(who.amounts)
        eyes = self.figure.eyes.on(vertices)
        view = View.of(eyes, who)
        parts = [part.thinned(rng) for part in self._parts(who, vertices, rng)]
        counts = [len(part.points) for part in parts]
        points = view.turned(np.concatenate([part.points for part in parts]))
        facing = rotated(np.concatenate([part.facing for part in parts]), view.turn)
        colours = np.concatenate([part.colours[:, :3] for part in parts])
        shine = np.repeat([part.shine for part in parts], counts)
        shaded = np.repeat([part.shaded for part in parts], counts)
        shadows = Shadows.of(points, who.light.lamp)
        seen = np.flatnonzero(facing[:, 2] > AWAY)
        points, facing, colours = points[seen], facing[seen], colours[seen]
        covered = shadows.on(points) * shaded[seen]
        shown = lit(colours, facing, shine[seen], covered, who.light)
        picture = drawn(view.places(points), -points[:, 2], shown, SIDE)
        # A pixel that no point of the nearest surface fell on shows what lies behind.
        picture = cv2.medianBlur((picture * 255).astype(np.uint8), 3).astype(np.float32) / 255
        if who.glasses:
            _put_on(picture, who.glasses, view.places(view.turned(eyes)))
        return picture

    def _parts(self, who: Traits, vertices: Points, rng: np.random.Generator) -> list[Part]:
        figure = self.figure
        lashes = self._painted(figure.lashes) * np.float32([0, 0, 0, THIN])
        parts = [
            self._skin(who, vertices, rng),
            self._worn(
                figure.eyes, vertices, self._painted(figure.eyes, who.iris), 1.0, IN_SOCKETS
            ),
            self._worn(figure.teeth, vertices, self._painted(figure.teeth), 0.2),
            self._worn(figure.lashes, vertices, lashes),
            self._worn(who.brows, vertices, self._dyed(who.brows, who.hair_colour * 0.8)),
            self._worn(who.clothes, vertices, self._coloured(who.clothes, who.cloth_colour)),
        ]
        if who.hair:
            hair = self._worn(who.hair, vertices, self._dyed(who.hair, who.hair_colour), 0.2)
            # Strands lie every way; light falls on them as on the head that they cover.
            away = hair.points - CROWN
            away /= np.linalg.norm(away, axis=1, keepdims=True)
            parts.append(replace(hair, facing=away))
        return parts

    def _cloud(self, worn: Worn | None) -> Cloud:
        name = worn.name if worn else ""
        if name not in self._clouds:
            base = self.figure.vertices
            surface = worn.surface if worn else self.figure.skin
            held = worn.on(base) if worn else base
            self._clouds[name] = scattered(surface, held, np.random.default_rng(0))
        return self._clouds[name]

    def _painted(self, worn: Worn, texture: int = 0) -> Colours:
        key = worn.name, texture
        if key not in self._paints:
            self._paints[key] = self._cloud(worn).painted(worn.textures[texture])
        return self._paints[key]

    def _worn(
        self,
        worn: Worn,
        vertices: Points,
        colours: Colours,
        shine: float = 0.0,
        shaded: float = 1.0,
    ) -> Part:
        cloud, own = self._cloud(worn), worn.on(vertices)
        facing = cloud.at(normals(worn.surface, own))
        return Part(cloud.at(own), facing, colours, shine, shaded)

    def _dyed(self, worn: Worn, colour: Points) -> Colours:
        """Hair of any colour, its own strands kept as lighter and darker ones."""
        colours = self._painted(worn)
        grey = colours[:, :3].mean(axis=1, keepdims=True)
        usual = max(float(np.average(grey[:, 0], weights=colours[:, 3] + 1e-6)), 0.05)
        dyed = colour * (0.4 + 0.6 * np.minimum(grey / usual, 2))
        return np.concatenate([dyed.clip(0, 1), colours[:, 3:]], axis=1).astype(np.float32)

    def _coloured(self, worn: Worn, colour: Points) -> Colours:
        """Cloth half of its own colours, half of `colour`, its folds kept; nothing seen through."""
        colours = self._painted(worn)
        grey = colours[:, :3].mean(axis=1, keepdims=True)
        mixed = (0.5 * colours[:, :3] + 0.5 * colour * (0.4 + grey)).clip(0, 1)
        return np.concatenate([mixed, np.ones_like(grey)], axis=1).astype(np.float32)

    def _skin(self, who: Traits, vertices: Points, rng: np.random.Generator) -> Part:
        cloud = self._cloud(None)
        key = "", who.skin
        if key not in self._paints:
            self._paints[key] = cloud.painted(self.figure.skins[who.skin])
        colours = self._paints[key].copy()
        colours[:, :3] = (colours[:, :3] * who.tone).clip(0, 1)
        colours[:, 3] = 1
        if who.beard:
            hairy = np.flatnonzero(self._bearded(cloud) & (rng.random(len(colours)) < who.beard))
            strands = who.hair_colour * rng.uniform(0.5, 0.95, (len(hairy), 1))
            colours[hairy, :3] = 0.4 * colours[hairy, :3] * (1 - who.beard) + strands * (
                1 - 0.4 * (1 - who.beard)
            )
        return Part(
            cloud.at(vertices), cloud.at(normals(self.figure.skin, vertices)), colours, 0.12
        )

    def _bearded(self, skin: Cloud) -> NDArray[np.bool_]:
        """Where on the skin a beard grows, and a moustache."""
        x, y, z = skin.at(self.figure.vertices).T
        x = np.abs(x)
        jaw = (y < UNDER_NOSE - 0.25 * x) & (y > CHIN) & (z > 0.45)
        sides = (x > 0.5) & (y < CHEEK) & (y > CHIN) & (z > 0.5) & (z < 0.95)
        lips = (x < 0.27) & (y > 6.5) & (y < 6.7) & (z > 1.3)
        return (jaw | sides) & ~lips


def _put_on(picture: Colours, glasses: Glasses, eyes: Points) -> None:
    """Draw glasses before eyes whose vertices are at `eyes` [n, 2], and their sides."""
    right = eyes[:, 0] > eyes[:, 0].mean()
    lenses = eyes[~right].mean(axis=0), eyes[right].mean(axis=0)
    apart = lenses[1] - lenses[0]
    wide = float(np.linalg.norm(apart))
    across, down = apart / wide, np.array([-apart[1], apart[0]]) / wide
    radii = np.array(glasses.size) * wide
    tilt = float(np.degrees(np.arctan2(apart[1], apart[0])))
    thick = max(1, round(glasses.thickness * wide))
    colour = (*glasses.colour, 1.0)
    layer = np.ascontiguousarray(picture)
    for lens, way in zip(lenses, (-1, 1), strict=True):
        middle = lens + down * 0.06 * wide
        sizes = (*radii.tolist(),)
        box = (middle.tolist(), (2 * sizes[0], 2 * sizes[1]), tilt)
        cv2.ellipse(layer, box, colour, thick, cv2.LINE_AA)
        temple = middle + way * across * radii[0]
        cv2.line(layer, _pixel(temple), _pixel(temple + way * across * wide * 0.25), colour, thick)
    bridge = [lens + way * across * radii[0] for lens, way in zip(lenses, (1, -1), strict=True)]
    cv2.line(layer, _pixel(bridge[0]), _pixel(bridge[1]), colour, thick)
    picture[:] = layer


def _pixel(place: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
