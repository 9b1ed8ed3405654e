"""A face crop with as much of its photo around it as shows the person alone.

A small base learns the face's square. A large one learns clothes, bearing and surroundings, too,
from the whole scene; the square is a place in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.faces.crops import Area
    from gpu_runner.faces.mesh import Mesh

BESIDE, ABOVE, BELOW = 0.5, 0.25, 0.75
"""How far a scene goes beyond the square, in its sides: twice as wide and as high in all."""
WORTH = 1.25
"""A scene that has not so many times the square's area shows nothing more."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (height, width, 3), and the square of the face in it, in pixels."""

    rgb: NDArray[np.uint8]
    left: int
    top: int
    side: int

    @classmethod
    def of_square(cls, rgb: NDArray[np.uint8]) -> Scene:
        """A picture that shows the face's square in its middle, and of that as much as it can."""
        height, width = rgb.shape[:2]
        side = min(height, width)
        return cls(rgb, (width - side) // 2, (height - side) // 2, side)

    @property
    def face(self) -> NDArray[np.uint8]:
        """The face's square (side, side, 3)."""
        return self.rgb[self.top : self.top + self.side, self.left : self.left + self.side]

    @property
    def shows_more(self) -> bool:
        """Whether there is notably more to be seen than the square."""
        height, width = self.rgb.shape[:2]
        return height * width >= WORTH * self.side**2


def scene_around(rgb: NDArray[np.uint8], square: Area, others: Sequence[Mesh]) -> Scene:
    """The scene around `square` in a photo, in which none of the `others` is seen.

    The square is `CROP_SIDE` pixels wide in it. Where nobody can be kept out, or there is nothing
    more, it is the square alone.
    """
    # A training reads scenes, and shall not load what cuts them: OpenCV takes 15 MB.
    from gpu_runner.faces.crops import CROP_SIDE, cut

    scale = CROP_SIDE / square.width
    for area in _areas(rgb, square):
        left, top = round((square.left - area.left) * scale), round((square.top - area.top) * scale)
        wide, high = round(area.width * scale), round(area.height * scale)
        if not any(area.shows(other) for other in others):
            scene = Scene(cut(rgb, area, wide, high), left, top, CROP_SIDE)
            if scene.shows_more:
                return scene
    return Scene.of_square(cut(rgb, square, CROP_SIDE, CROP_SIDE))


def _areas(rgb: NDArray[np.uint8], square: Area) -> Iterator[Area]:
    """From all that a scene may have to what is above and below the square only."""
    height, width = rgb.shape[:2]
    side = square.width
    # Where the square reaches beyond the photo, so does the scene, but never further.
    left = min(square.left, max(0.0, square.left - BESIDE * side))
    right = max(square.right, min(float(width), square.right + BESIDE * side))
    top = min(square.top, max(0.0, square.top - ABOVE * side))
    bottom = max(square.bottom, min(float(height), square.bottom + BELOW * side))
    from gpu_runner.faces.crops import Area

    yield Area(left, top, right, bottom)
    yield Area(square.left, top, right, bottom)
    yield Area(left, top, square.right, bottom)
    yield Area(square.left, top, square.right, bottom)
