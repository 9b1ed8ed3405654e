"""How light falls on somebody: one lamp that casts shadows, and light from all around."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pretrain.people.figure import Points
from pretrain.people.splats import nearest
from pretrain.people.traits import Light
from pretrain.people.view import rotated

MAP_SIDE = 160
MAP_SCALE = 30.0
"""Pixels for a decimetre where shadows are found."""
GAP = 0.07
"""Decimetres behind what stands in the light, from which on it is dark."""
DARKNESS = 0.75
EDGE = 1.2
"""Half the width of a shadow's soft edge, in pixels of its map."""
GAMMA = 2.2
SHARP, DULL = 80, 14
"""Exponents of the glint on eyes, and on skin and hair."""


@dataclass(frozen=True, slots=True)
class Shadows:
    """What stands between a lamp in direction `lamp` [3] and everything else."""

    lamp: Points
    across: Points
    along: Points
    found: NDArray[np.float32]

    @staticmethod
    def of(points: Points, lamp: Points) -> Shadows:
        """The shadows that points [n, 3] cast."""
        across = np.cross(np.array([0, 1, 0], np.float32), lamp)
        across = (across / np.linalg.norm(across)).astype(np.float32)
        along = np.cross(lamp, across)
        empty = Shadows(lamp, across, along, np.empty(0, np.float32))
        return replace(empty, found=nearest(empty._places(points), -(points @ lamp), MAP_SIDE))

    def _places(self, points: Points) -> Points:
        flat = rotated(points, np.stack([self.across, -self.along]))
        return flat * np.float32(MAP_SCALE) + np.float32(MAP_SIDE / 2)

    def on(self, points: Points) -> NDArray[np.float32]:
        """How much of the lamp is covered at each point, 0-1."""
        places, depths = self._places(points), -(points @ self.lamp)
        covered = np.zeros(len(points), np.float32)
        for step in ((EDGE, 0), (-EDGE, 0), (0, EDGE), (0, -EDGE)):
            columns, rows = np.clip((places + np.array(step)).astype(int), 0, MAP_SIDE - 1).T
            covered += depths > self.found[rows, columns] + GAP
        return covered / 4


def lit(
    colours: Points,
    facing: Points,
    shine: NDArray[np.float32],
    covered: NDArray[np.float32],
    light: Light,
) -> NDArray[np.float32]:
    """What colours [n, 3] in 0-1 look like where they face [n, 3] so, `covered` from the lamp."""
    bare = 1 - DARKNESS * covered
    falling = np.maximum(facing @ light.lamp, 0) * bare
    around = light.ambient * (0.8 + 0.2 * facing[:, 1])
    halfway = light.lamp + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    glint = np.maximum(facing @ halfway, 0) ** np.where(shine > 0.5, SHARP, DULL) * shine * bare
    amount = around + (1.15 - light.ambient) * 1.3 * falling
    linear = colours**GAMMA * amount[:, None] * light.colour + 0.5 * glint[:, None]
    return np.asarray(np.clip(linear, 0, 1) ** (1 / GAMMA), np.float32)
