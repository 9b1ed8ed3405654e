"""The portrait as two pictures that slide against each other where the lips meet.

A single warp would stretch whatever lies on the contact line. So the upper picture holds the
upper lip and all above, the lower one the lower lip and all below. Past the contact line each is
continued by the mirror image of its own lip, a little darkened: the rounding of a lip that
turns inwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import FaceFrame, Mouth, smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.neutral import NeutralFace

# How far a lip goes on past the contact line, in outer-eye distances, and how dark it gets.
ROLL = 0.014
ROLL_SHADE = 0.35
# No mouth opens further than this; beyond it each layer is the plain portrait again.
DEEPEST = 0.22
# Beyond the mouth's corners the two pictures fade into each other over this height.
BLEND = 0.05


@dataclass(frozen=True, slots=True)
class Layers:
    """The two pictures and where they meet.

    `upper` and `lower` are (height, width, 3). `below` (height, width) is how far each pixel lies
    below the contact line and `across` (height, width) its place along the mouth, -1…1 between
    the corners, both float32 in face coordinates.
    """

    upper: NDArray[np.uint8]
    lower: NDArray[np.uint8]
    below: NDArray[np.float32]
    across: NDArray[np.float32]


def split(face: NeutralFace) -> Layers:
    """Cut a closed face into its two layers."""
    grid = face.frame.grid(face.upper.shape[:2])
    below = face.mouth.below_contact(grid)
    across = face.mouth.across(grid[..., 0])
    return Layers(
        upper=_roll(face.upper, face.frame, face.mouth, grid, below),
        lower=_roll(face.lower, face.frame, face.mouth, grid, -below),
        below=below.astype(np.float32),
        across=across.astype(np.float32),
    )


def _roll(
    rgb: NDArray[np.uint8],
    frame: FaceFrame,
    mouth: Mouth,
    grid: NDArray[np.float64],
    beyond: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Continue a lip into where `beyond` is positive by its mirror image."""
    across = mouth.across(grid[..., 0])
    inside = (beyond > 0) & (beyond < DEEPEST) & (np.abs(across) < 1)
    depth = beyond.clip(0.0, ROLL)
    sign = np.where(mouth.below_contact(grid) > 0, -1.0, 1.0)
    mirrored = grid.copy()
    mirrored[..., 1] += np.where(inside, sign * (beyond + depth), 0.0)
    at = frame.to_picture(mirrored).astype(np.float32)
    lip = cv2.remap(rgb, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    shade = 1 - ROLL_SHADE * smoothstep(0.0, ROLL, depth) * inside
    rolled = np.where(inside[..., None], lip * shade[..., None], rgb)
    return np.asarray(rolled.round().clip(0, 255), dtype=np.uint8)


def upper_coverage(
    below: NDArray[np.float32], across: NDArray[np.float32], parted: float, softness: float
) -> NDArray[np.float32]:
    """Where the upper layer covers what is behind it, 0-1, of the shape of `below`.

    Args:
        below: the layer's own distance below contact at each pixel.
        across: the layer's own place along the mouth at each pixel.
        parted: from 0, lips touch, to 1, lips far enough apart to show their rolls.
        softness: half the edge's width, in the unit of `below`.

    """
    return _coverage(below, across, parted, softness)


def lower_coverage(
    below: NDArray[np.float32], across: NDArray[np.float32], parted: float, softness: float
) -> NDArray[np.float32]:
    """The same for the lower layer, which reaches up underneath the upper one."""
    # Closed lips, and the cheeks beside the mouth, must not show what lies behind them.
    beside = np.clip((np.abs(across) - 0.94) / 0.06, 0.0, 1.0)
    under = 2 * softness * (1 - parted) + BLEND * beside
    return _coverage((-below - under).astype(np.float32), across, parted, softness)


def _coverage(
    beyond: NDArray[np.float32], across: NDArray[np.float32], parted: float, softness: float
) -> NDArray[np.float32]:
    outside = np.clip((np.abs(across) - 0.94) / 0.16, 0.0, 1.0)
    edge = softness + (BLEND / 2 - softness) * outside
    reach = ROLL * parted * np.clip(1 - across * across, 0.0, 1.0)
    return np.asarray(np.clip((reach - beyond) / (2 * edge) + 0.5, 0.0, 1.0), dtype=np.float32)
