"""The fields of displacement from which every movement is mixed.

Each basis says where the face's points go when one part of the pose is at its full extent. A
frame's field is their weighted sum, one sum per layer. All amplitudes are in distances of the outer
eye corners, found by looking at frames; the fields are smooth except where lips part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from gpu_runner.engines.warp.geometry import OVAL, smoothstep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.neutral import NeutralFace

Sides: TypeAlias = tuple[bool, bool, bool, bool]

GRID = 128
# Share of the grid over which movement fades where a still picture goes on beside it.
SETTLE = 0.10
JAW, LOWER, UPPER, PRESS, TUCK = 0.115, 0.030, 0.030, 0.020, 0.022
WIDE, ROUND, BROW = 0.035, 0.088, 0.045
# How far the chin goes with the jaw. A drawn chin is an outline: it should not wander as far, while
# a drawn mouth opens wider than a real one to say the same.
CHIN_SHARE, DRAWN_CHIN_SHARE, DRAWN_REACH = 0.92, 0.62, 1.35

# The order of weights in a frame's mix.
NAMES = (
    "chin",
    "lip",
    "lower",
    "upper",
    "wide",
    "round",
    "press",
    "tuck",
    "brow",
    "yaw",
    "pitch",
    "roll",
    "breath",
)


@dataclass(frozen=True, slots=True)
class Bases:
    """Displacements in pixels on a coarse grid of the picture.

    `upper` and `lower` are (len(NAMES), rows, columns, 2), float32; `step` is the grid's spacing in
    pixels. `reach` scales the opening of the lips.
    """

    upper: NDArray[np.float32]
    lower: NDArray[np.float32]
    step: float
    reach: float


def build_bases(face: NeutralFace, *, drawn: bool) -> Bases:
    """Compute all bases for a closed face, photographed or drawn."""
    reach, chin_share = (DRAWN_REACH, DRAWN_CHIN_SHARE) if drawn else (1.0, CHIN_SHARE)
    shape = (face.upper.shape[0], face.upper.shape[1])
    step = max(shape) / GRID
    grid = face.frame.grid(shape, step)
    outside = _outside_oval(face, shape, grid.shape[:2])
    expression = _expression(face, grid, chin_share * _jaw(face, grid, outside), reach)
    head = _head_mask(face, grid)
    motion = _head_motion(face, grid, head)
    axes = face.frame.axes.T
    upper, lower = (
        np.concatenate([layer @ axes, motion]).astype(np.float32) for layer in expression
    )
    return Bases(upper, lower, step, reach)


def settle(bases: Bases, edges: Sides) -> Bases:
    """The same bases, coming to rest towards those edges where a still picture goes on.

    `edges` says of left, top, right and bottom whether the picture goes on there.
    """
    rows, columns = bases.upper.shape[1:3]
    reach = SETTLE * max(rows, columns)
    left, top, right, bottom = edges
    across, down = np.arange(columns, dtype=np.float64), np.arange(rows, dtype=np.float64)
    calm = np.ones((rows, columns))
    for wanted, distance in (
        (left, across[None, :]),
        (right, across[None, ::-1]),
        (top, down[:, None]),
        (bottom, down[::-1, None]),
    ):
        if wanted:
            # The last cell may reach past the picture's edge.
            calm = calm * smoothstep(1.0, reach, distance)
    weight = calm[None, :, :, None].astype(np.float32)
    return replace(bases, upper=bases.upper * weight, lower=bases.lower * weight)


def _expression(
    face: NeutralFace, grid: NDArray[np.float64], hinge: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bases "chin" to "brow" for the upper and the lower layer, in face coordinates."""
    mouth = face.mouth
    x, y = grid[..., 0] - mouth.middle, grid[..., 1]
    below = mouth.below_contact(grid)
    across = x / mouth.half_width
    inside = mouth.parting(across)
    beyond = (np.abs(x) - mouth.half_width).clip(0.0, None)
    side = np.sign(x) * np.minimum(np.abs(across), 1.0)
    zero = np.zeros_like(x)

    jaw = JAW * reach
    near_lip = 1 - smoothstep(0.0, 0.5 * mouth.chin, below)
    under_lip = 1 - smoothstep(0.0, 0.8 * mouth.chin, below)
    over_lip = 1 - smoothstep(0.0, -1.25 * mouth.nose, -below)
    upper_rim = _bump(below, -mouth.upper_height, mouth.upper_height) * (below < 0)
    lower_rim = _bump(below, mouth.lower_height, mouth.lower_height) * (below > 0)
    spread = side * np.exp(-((beyond / 0.30) ** 2)) * np.exp(-((y / 0.24) ** 2))
    purse = side * np.exp(-((beyond / 0.34) ** 2)) * np.exp(-((y / 0.27) ** 2))
    lift = np.abs(side) ** 2 * np.abs(spread)
    brow = _brow(face, grid)

    def down(amount: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([zero, amount], axis=-1)

    wide = np.stack([WIDE * spread, -0.25 * WIDE * lift], axis=-1)
    pursed = -ROUND * purse
    upper = [
        down(jaw * hinge * (1 - inside * over_lip)),
        down(zero),
        down(zero),
        down(-UPPER * inside * over_lip),
        wide,
        np.stack([pursed, -0.022 * inside * upper_rim], axis=-1),
        down(PRESS * inside * upper_rim),
        down(zero),
        down(-BROW * brow),
    ]
    lower = [
        down(jaw * (hinge + (1 - hinge) * inside * near_lip)),
        down(jaw * inside * near_lip),
        down(LOWER * inside * under_lip),
        down(zero),
        wide,
        np.stack([pursed, 0.024 * inside * lower_rim], axis=-1),
        down(-PRESS * inside * lower_rim),
        down(-TUCK * inside * near_lip),
        down(zero),
    ]
    return np.stack(upper), np.stack(lower)


def _jaw(
    face: NeutralFace, grid: NDArray[np.float64], outside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far each place follows the jawbone: 0 at the ears' height, 1 at the chin."""
    mouth = face.mouth
    x, y = grid[..., 0] - mouth.middle, grid[..., 1]
    half_face = np.ptp(face.frame.to_face(face.points[list(OVAL), :2])[:, 0]) / 2
    swing = smoothstep(-0.30, 1.06 * mouth.chin, y)
    lateral = 1 - 0.15 * (x / half_face).clip(-1, 1) ** 2
    # The throat goes along for a while, what lies beside the face hardly.
    throat = 1 - smoothstep(0.25, 0.75, np.abs(x) / half_face)
    fade = 0.12 + 0.20 * throat
    return swing * lateral * (1 - smoothstep(0.0, 1.0, outside / fade))


def _outside_oval(
    face: NeutralFace, shape: tuple[int, int], rows_columns: tuple[int, ...]
) -> NDArray[np.float64]:
    """Distance from the face's oval on the grid, 0 inside, in face units."""
    oval = np.zeros(shape, np.uint8)
    cv2.fillPoly(oval, [np.round(face.points[list(OVAL), :2]).astype(np.int32)], 255)
    pixels = cv2.distanceTransform(np.uint8(255) - oval, cv2.DIST_L2, 5)
    distance = (pixels / face.frame.unit).astype(np.float32)
    size = (rows_columns[1], rows_columns[0])
    return cv2.resize(distance, size, interpolation=cv2.INTER_AREA).astype(np.float64)


def _brow(face: NeutralFace, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """One on the brows, fading to the eyes below and to the hair above."""
    brows = face.frame.to_face(face.points[[105, 334], :2])
    lids = face.frame.to_face(face.points[[159, 386], :2])
    field = np.zeros(grid.shape[:2])
    for brow, lid in zip(brows, lids, strict=True):
        height = max(0.08, float(lid[1] - brow[1]))
        up = np.where(grid[..., 1] > brow[1], 0.55 * height, 0.28)
        field += np.exp(
            -(((grid[..., 0] - brow[0]) / 0.26) ** 2) - ((grid[..., 1] - brow[1]) / up) ** 2
        )
    return np.minimum(field, 1.0)


def _head_mask(face: NeutralFace, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """One on head and hair, fading softly into background and shoulders."""
    oval = face.frame.to_face(face.points[list(OVAL), :2])
    middle = (oval.min(axis=0) + oval.max(axis=0)) / 2
    half = np.ptp(oval, axis=0) / 2
    dx = (grid[..., 0] - middle[0]) / half[0]
    dy = (grid[..., 1] - middle[1]) / half[1]
    # Hair reaches further up and out than the mesh; the neck holds the head from below.
    radius = np.hypot(dx / 1.25, np.where(dy < 0, dy / 1.6, dy / 1.05))
    fade = np.where(dy > 0, 0.75, 0.95)
    return 1 - smoothstep(0.0, 1.0, (radius - 0.95) / fade)


def _head_motion(
    face: NeutralFace, grid: NDArray[np.float64], head: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bases "yaw", "pitch", "roll" per degree and "breath" per pixel, in pixels.

    Turning is a parallax: what is nearer than the neck's axis moves with the turn, by its depth.
    """
    depth = _depth(face, grid)
    pivot = face.frame.to_face(face.points[[234, 454], :2]).mean(axis=0)
    neck = np.array([pivot[0], face.mouth.chin + 0.15])
    degree = np.pi / 180
    zero = np.zeros_like(depth)
    yaw = np.stack([depth * degree * head, zero], axis=-1)
    pitch = np.stack([zero, depth * degree * head], axis=-1)
    roll = np.stack([-(grid[..., 1] - neck[1]), grid[..., 0] - neck[0]], axis=-1)
    roll = roll * degree * head[..., None]
    in_face = np.stack([yaw, pitch, roll]) @ face.frame.axes.T
    chest = smoothstep(face.mouth.chin - 0.4, face.mouth.chin + 0.9, grid[..., 1])
    breath = np.stack([zero, 0.35 * head + chest * (1 - head)], axis=-1)[None]
    return np.concatenate([in_face, breath])


def _depth(face: NeutralFace, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearness over the neck's axis on the grid, in face units, from the mesh's z."""
    points = face.frame.to_face(face.points[:, :2])
    near = -face.points[:, 2] / face.frame.unit
    oval = points[list(OVAL)]
    middle = oval.mean(axis=0)
    # Hair and ears carry on backwards from the oval.
    ring = np.concatenate([middle + (oval - middle) * scale for scale in (1.35, 2.2)])
    behind = np.concatenate([near[list(OVAL)] - 0.05, np.full(len(OVAL), near[list(OVAL)].min())])
    field = RBFInterpolator(
        np.concatenate([points, ring]), np.concatenate([near, behind]), kernel="linear"
    )
    depth = field(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    axis = near[list(OVAL)].min() - 0.35
    return np.asarray(cv2.GaussianBlur(np.maximum(depth - axis, 0.0), (0, 0), 1.5))


def _bump(value: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """Smooth hill that is 1 at `centre` and 0 from `width` away on."""
    return np.asarray(1 - smoothstep(0.0, 1.0, np.abs(value - centre) / width))
