"""From the portrait's mouth to a closed one.

Speech starts and ends with lips that touch. A portrait that smiles with its teeth showing is
brought there once, by two warps that close the gap from above and from below, relax the corners
and let cheeks and folds follow; its teeth are kept, for they are better than painted ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from gpu_runner.engines.warp.edges import snap_edges
from gpu_runner.engines.warp.geometry import (
    LOWER_LIP,
    OVAL,
    UPPER_LIP,
    FaceFrame,
    Mouth,
    closed_mouth,
    face_frame,
    smoothstep,
    snap_contact,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Inner lips further apart than this are an open mouth.
OPEN_GAP = 0.03
CLOSE_AT = 0.6
CURVATURE = 0.35
RELAXED_WIDTH = 0.60
UPPER_FOLLOWS = (0.55, 0.70, 0.85, 1.0)
LOWER_FOLLOWS = (0.50, 0.68, 0.84, 1.0)
CORNER_RADIUS = 0.085
TEETH_REMAIN = 0.035
SEAM_SHADE, SEAM_WIDTH = 0.4, 0.009
# Mean difference between the colour channels, of 255, below which a picture is grey.
GREY_SPREAD = 6.0
GRID = 256
# Mesh points along the folds of a smile, left and right.
FOLDS = ((203, 206, 216, 212), (423, 426, 436, 432))
FOLD_RADIUS, FOLD_LIFT = 0.09, 0.7


@dataclass(frozen=True, slots=True)
class NeutralFace:
    """The portrait with its mouth closed, as two pictures.

    `upper` and `lower` (height, width, 3) are right above and below the contact line of `mouth`;
    for a portrait whose mouth was closed already they are the same picture. `points` (468, 3) is
    the mesh after closing. `teeth` (height, width, 4) is what was seen between the lips, with
    its coverage 0-255 as fourth channel, or None.
    """

    upper: NDArray[np.uint8]
    lower: NDArray[np.uint8]
    frame: FaceFrame
    mouth: Mouth
    points: NDArray[np.float64]
    teeth: NDArray[np.uint8] | None


def neutralise(rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> NeutralFace:
    """Close the mouth of the face with mesh `points` (468, 3) in `rgb` (height, width, 3)."""
    frame = face_frame(points)
    face = frame.to_face(points[:, :2])
    gap = float(np.mean(face[[14, 87, 317], 1] - face[[13, 82, 312], 1]))
    if gap <= OPEN_GAP:
        mouth = closed_mouth(frame, points)
        mouth = replace(mouth, contact=snap_contact(rgb, frame, mouth))
        return NeutralFace(rgb, rgb, frame, mouth, points, None)
    return _close(rgb, frame, snap_edges(rgb, frame, face), points)


def _close(
    rgb: NDArray[np.uint8],
    frame: FaceFrame,
    face: NDArray[np.float64],
    points: NDArray[np.float64],
) -> NeutralFace:
    goal = _relaxed(face)
    upper_rows = _flat(UPPER_LIP)
    lower_rows = _flat(LOWER_LIP)
    around = [i for i in range(len(face)) if i not in {*upper_rows, *lower_rows}]
    closed = points.copy()
    closed[:, :2] = frame.to_picture(goal)
    upper = _warp(rgb, frame, face, goal, [*around, *upper_rows])
    lower = _warp(rgb, frame, face, goal, [*around, *lower_rows])
    mouth = closed_mouth(frame, closed)
    upper, lower = (
        _draw_seam(
            _soften_folds(
                _mend_corners(picture, frame, mouth), frame, frame.to_face(closed[:, :2])
            ),
            frame,
            mouth,
        )
        for picture in (upper, lower)
    )
    teeth = _visible_teeth(rgb, frame, face)
    return NeutralFace(upper, lower, frame, mouth, closed, teeth)


def _relaxed(face: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the mesh points (468, 2) of an open mouth go when it closes and relaxes."""
    goal = face.copy()
    upper, lower = face[list(UPPER_LIP[3])], face[list(LOWER_LIP[3])]
    line = upper + CLOSE_AT * (lower - upper)
    middle = (face[61, 0] + face[291, 0]) / 2
    curve = np.polyfit(line[:, 0] - middle, line[:, 1], 2)
    shrink = min(1.0, RELAXED_WIDTH / float(face[291, 0] - face[61, 0]))

    def contact(x: NDArray[np.float64]) -> NDArray[np.float64]:
        level = (x - middle) / shrink
        return np.polyval([curve[0] * CURVATURE, curve[1], curve[2]], level)

    for rows, follows in ((UPPER_LIP, UPPER_FOLLOWS), (LOWER_LIP, LOWER_FOLLOWS)):
        inner = face[list(rows[3])]
        target_x = middle + (inner[:, 0] - middle) * shrink
        shift = np.stack([target_x - inner[:, 0], contact(target_x) - inner[:, 1]], axis=1)
        for row, follow in zip(rows, follows, strict=True):
            # Corners move as one, whatever their row.
            share = np.maximum(follow, np.abs(np.linspace(-1, 1, len(row))) ** 3)[:, None]
            goal[list(row)] = face[list(row)] + shift * share
    corner_shifts = [(face[i], goal[i] - face[i]) for i in (61, 291)]
    lips = {*_flat(UPPER_LIP), *_flat(LOWER_LIP)}
    low_lip, chin = face[17], face[152]
    low_shift = goal[17] - face[17]
    for index in range(len(face)):
        if index in lips or index in OVAL:
            continue
        at = face[index]
        for corner, shift in corner_shifts:
            # Cheeks and smile folds follow the corners; the nose and the eyes do not.
            near = 0.6 * np.exp(-((np.linalg.norm(at - corner) / 0.28) ** 2))
            goal[index] += near * shift * (at[1] > face[2, 1] - 0.08)
        if at[1] > low_lip[1] and abs(at[0] - middle) < 0.3:
            goal[index] += (
                0.5 * low_shift * max(0.0, 1 - (at[1] - low_lip[1]) / (chin[1] - low_lip[1]))
            )
    return goal


def _warp(
    rgb: NDArray[np.uint8],
    frame: FaceFrame,
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    chosen: Sequence[int],
) -> NDArray[np.uint8]:
    """Move the chosen points from `source` to `target`, and what lies between them along."""
    height, width = rgb.shape[:2]
    edge = np.array([[x, y] for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
    still = frame.to_face(edge * (width, height))
    knots, first = np.unique(
        np.concatenate([target[list(chosen)], still]).round(6), axis=0, return_index=True
    )
    shifts = np.concatenate([(source - target)[list(chosen)], np.zeros_like(still)])[first]
    # The linear kernel: thin-plate splines overshoot and notch the lips.
    field = RBFInterpolator(knots, shifts, kernel="linear")
    step = max(height, width) / GRID
    grid = frame.grid((height, width), step)
    # Nothing moves outside the mesh, and evaluating the field there is what takes time.
    face = ((grid >= target.min(axis=0)) & (grid <= target.max(axis=0))).all(axis=-1)
    moved = grid.copy()
    moved[face] += field(grid[face])
    shifted = frame.to_picture(moved)
    full = upsample(shifted.astype(np.float32), step, (height, width))
    return cv2.remap(
        rgb, full[..., 0], full[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)


def upsample(
    grid: NDArray[np.float32],
    step: float,
    shape: tuple[int, int],
    corner: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """Values at every pixel (height, width, …) from values at every `step`th pixel.

    `corner` is the (x, y) of the result's first pixel.
    """
    height, width = shape
    turn = np.array([[1 / step, 0, corner[0] / step], [0, 1 / step, corner[1] / step]])
    return cv2.warpAffine(
        grid,
        turn,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)


def _mend_corners(rgb: NDArray[np.uint8], frame: FaceFrame, mouth: Mouth) -> NDArray[np.uint8]:
    """Paint over the shadows, and the tips of teeth, that an open mouth leaves in its corners."""
    grid = frame.grid(rgb.shape[:2])
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64)
    at_line = np.abs(mouth.below_contact(grid)) < TEETH_REMAIN
    mask = np.zeros(rgb.shape[:2], np.uint8)
    for x in (mouth.left, mouth.right):
        y = np.polyval(mouth.contact, x)
        far = np.hypot(grid[..., 0] - x, grid[..., 1] - y)
        near = far < CORNER_RADIUS
        around = grey[(far < 1.8 * CORNER_RADIUS) & ~near]
        # Beside a beard the dark quarter is hair, which no shadow must be taken from.
        dark, skin = np.percentile(around, (25, 50))
        mask[near & ((grey < 0.75 * dark) | (at_line & (grey > 1.1 * skin)))] = 255
    wider = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=2)
    return cv2.inpaint(rgb, wider, 3, cv2.INPAINT_TELEA).astype(np.uint8)


def _soften_folds(
    rgb: NDArray[np.uint8], frame: FaceFrame, face: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Lift the shadows in the folds that a smile has dug from the nose past the mouth's corners."""
    grid = frame.grid(rgb.shape[:2])
    mask = np.zeros(rgb.shape[:2])
    for fold in FOLDS:
        for index in fold:
            far = np.hypot(*(grid - face[index]).transpose(2, 0, 1)) / FOLD_RADIUS
            mask = np.maximum(mask, np.exp(-(far**2)))
    lips = face[list({*_flat(UPPER_LIP), *_flat(LOWER_LIP)})]
    low, high = lips.min(axis=0), lips.max(axis=0)
    # Lips and the mouth's corners keep their own shading.
    on_lips = np.maximum(low - grid, grid - high).max(axis=-1)
    mask *= smoothstep(0.0, 0.04, on_lips)
    around = cv2.GaussianBlur(rgb, (0, 0), 0.07 * frame.unit).astype(np.float64)
    lift = (around - rgb).clip(0.0, None) * (FOLD_LIFT * mask)[..., None]
    return np.asarray((rgb + lift).round().clip(0, 255), dtype=np.uint8)


def _draw_seam(rgb: NDArray[np.uint8], frame: FaceFrame, mouth: Mouth) -> NDArray[np.uint8]:
    """Shade the line where the lips meet: closing the gap has left none."""
    grid = frame.grid(rgb.shape[:2])
    below = np.abs(mouth.below_contact(grid))
    along = mouth.parting(mouth.across(grid[..., 0])) ** 0.5
    shade = SEAM_SHADE * along * np.exp(-((below / SEAM_WIDTH) ** 2))
    # Red survives in the shadow between lips, unless the photograph is grey.
    warmth = np.ones(3) if is_grey(rgb, frame) else np.array([0.75, 1.05, 1.0])
    return np.asarray((rgb * (1 - shade[..., None] * warmth)).round().clip(0, 255), dtype=np.uint8)


def is_grey(rgb: NDArray[np.uint8], frame: FaceFrame) -> bool:
    """Whether the face has no colours, as in a black-and-white photograph."""
    x, y = frame.origin.astype(int)
    near = int(frame.unit * 0.4)
    part = rgb[max(0, y - near) : y + near, max(0, x - near) : x + near].astype(np.float64)
    return float(np.ptp(part, axis=-1).mean()) < GREY_SPREAD


def _visible_teeth(
    rgb: NDArray[np.uint8], frame: FaceFrame, face: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The picture between the inner lips, with a soft coverage as fourth channel."""
    outline = np.concatenate([face[list(UPPER_LIP[3])], face[list(LOWER_LIP[3])][::-1]])
    polygon = np.round(frame.to_picture(outline)).astype(np.int32)
    inside = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(inside, [polygon], 255)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64)
    bright = float(np.percentile(grey[inside > 0], 80))
    coverage = inside / 255 * smoothstep(0.45 * bright, 0.75 * bright, grey)
    soft = cv2.GaussianBlur(coverage, (0, 0), 0.008 * frame.unit)
    return np.dstack([rgb, (soft * 255).astype(np.uint8)])


def _flat(rows: Sequence[Sequence[int]]) -> list[int]:
    return [index for row in rows for index in row]
