"""Eyelids that close.

A warp that closes the eye squeezes the iris to a line. Here the lid is a layer of its own: skin
from above the eye is drawn down over it while the eye stays as it is. On drawings there is no
lid skin to draw down, and the mesh does not lie on the drawn eye; there the eye's shape is
taken from its colours and covered by plain skin with a dark rim, the way drawn eyes blink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import OVAL, smoothstep

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpu_runner.engines.warp.geometry import FaceFrame
    from gpu_runner.engines.warp.neutral import NeutralFace

    Patch = tuple[slice, slice, list[NDArray[np.uint8]]]

LEVELS = 10
# Rows of mesh points from the image's left to right: crease over the lid, lid's edge, lower lid.
EYES = (
    (
        (130, 247, 30, 29, 27, 28, 56, 190, 243),
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
    ),
    (
        (463, 414, 286, 258, 257, 259, 260, 467, 359),
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
)
# Lashes stick out past the lid's edge and go down with it.
LASHES = 0.016
# The rim with its lashes goes down as it is; only the skin above this height is stretched.
RIM = 0.034
# Colours nearer than this to the skin's, of 255, are skin.
SKIN_DISTANCE = 34.0
DRAWN_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Eyelids:
    """Pictures of both eyes at `LEVELS` steps of closing, to be pasted into the portrait."""

    patches: tuple[Patch, ...]

    def closed(self, rgb: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
        """A copy of the portrait `rgb` with its eyes closed by `amount`, 0 to 1."""
        level = round(min(max(amount, 0.0), 1.0) * LEVELS)
        if level == 0:
            return rgb
        picture = rgb.copy()
        for rows, columns, pictures in self.patches:
            picture[rows, columns] = pictures[level - 1]
        return picture


def is_drawing(rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> bool:
    """Whether the face with mesh `points` (468, 2+) is drawn: most of it is one flat colour."""
    return flatness(rgb, points) > DRAWN_SHARE


def flatness(rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> float:
    """Share of the face whose colour is within 10 of 255 of its median, 0-1."""
    oval = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(oval, [np.round(points[list(OVAL), :2]).astype(np.int32)], 255)
    colours = rgb[oval > 0].astype(np.float64)
    return float((np.abs(colours - np.median(colours, axis=0)).max(axis=1) < 10).mean())


def build_lids(face: NeutralFace, *, drawn: bool) -> Eyelids | None:
    """Prepare the lids of a face, or None where no eye to cover can be made out."""
    make: Callable[[NeutralFace, int], Patch | None] = _drawn_lid if drawn else _photographed_lid
    patches = [make(face, eye) for eye in range(2)]
    known = [patch for patch in patches if patch is not None]
    # One eye alone would wink.
    return Eyelids(tuple(known)) if len(known) == len(patches) else None


def _photographed_lid(face: NeutralFace, eye: int) -> Patch | None:
    crease, edge, bottom = (face.frame.to_face(face.points[list(row), :2]) for row in EYES[eye])
    region, grid = _region(face.frame, np.concatenate([crease, edge, bottom]), 0.05, face.upper)
    x, y = grid[..., 0], grid[..., 1]
    # The crease of the mesh is low; skin is taken from as far up as the eye is open.
    high = _curve(crease, x) - 0.35 * np.maximum(_curve(bottom, x) - _curve(edge, x), 0.0)
    top, low = _curve(edge, x), _curve(bottom, x)
    gape = np.maximum(low - top, 0.0)
    inner = smoothstep(0.0, 0.02, gape)
    rest = top + LASHES * inner
    fold = np.maximum(rest - RIM * inner, high + 1e-3)
    pictures = []
    for level in range(1, LEVELS + 1):
        # The lid's edge ends a little above the lower lid, which comes up to meet it.
        rim = rest + level / LEVELS * np.maximum(0.92 * gape - LASHES * inner, 0.0)
        stretched = (rim - rest + fold - high) / (fold - high)
        drawn_down = np.maximum(high + (y - high) / stretched, y - (rim - rest))
        source = grid.copy()
        source[..., 1] = np.where((y > high) & (gape > 0), drawn_down, y)
        at = face.frame.to_picture(source).astype(np.float32)
        lid = cv2.remap(
            face.upper, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float64)
        soft = 1.1 / face.frame.unit
        cover = smoothstep(-soft, soft, rim - y) * (gape > 0)
        eye_below = face.upper[region].astype(np.float64)
        mixed = eye_below + (lid - eye_below) * cover[..., None]
        pictures.append(mixed.round().clip(0, 255).astype(np.uint8))
    return (*region, pictures)


def _drawn_lid(face: NeutralFace, eye: int) -> Patch | None:
    mesh = np.concatenate([face.frame.to_face(face.points[list(row), :2]) for row in EYES[eye]])
    region, grid = _region(face.frame, mesh, 0.28, face.upper)
    pixels = face.upper[region].astype(np.float64)
    oval = face.points[list(OVAL), :2].round().astype(int)
    (x0, y0), (x1, y1) = oval.min(axis=0).clip(0), oval.max(axis=0)
    skin = np.median(face.upper[y0:y1, x0:x1].reshape(-1, 3), axis=0)
    shape = _eye_shape(pixels, skin, face.frame.to_face(face.points[list(EYES[eye][1]), :2]), grid)
    if shape is None:
        return None
    columns = np.flatnonzero(shape.sum(axis=0) > 0.25 * shape.sum(axis=0).max())
    top = _arc(columns, shape.argmax(axis=0), shape.shape[1])
    bottom = _arc(columns, shape.shape[0] - 1 - shape[::-1].argmax(axis=0), shape.shape[1])
    rows = np.arange(shape.shape[0])[:, None]
    wider = cv2.dilate(shape.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float64)
    inside = cv2.GaussianBlur(wider, (0, 0), 0.8).astype(np.float64)
    ink = np.percentile(pixels[shape], 8, axis=0)
    thickness = 0.022 * face.frame.unit
    along = np.arange(shape.shape[1])
    # The rim fades over its last pixels at either side.
    taper = np.clip((along - columns[0] + 2) / 4, 0, 1) * np.clip(
        (columns[-1] + 2 - along) / 4, 0, 1
    )
    pictures = []
    for level in range(1, LEVELS + 1):
        rim = top - 1 + level / LEVELS * (bottom - top - thickness / 2)
        covered = inside * (1 / (1 + np.exp(np.clip((rows - rim) * 2.0, -50, 50))))
        if level == LEVELS:
            covered = inside
        lidded = pixels + (skin - pixels) * covered[..., None]
        stroke = np.exp(-(np.clip(np.abs(rows - rim) - thickness / 2, 0, None) ** 2)) * taper
        inked = lidded + (ink - lidded) * stroke[..., None]
        pictures.append(inked.round().clip(0, 255).astype(np.uint8))
    return (*region, pictures)


def _eye_shape(
    pixels: NDArray[np.float64],
    skin: NDArray[np.float64],
    edge: NDArray[np.float64],
    grid: NDArray[np.float64],
) -> NDArray[np.bool_] | None:
    """The drawn eye: what is not skin and hangs together around the mesh's eye."""
    colours = (np.abs(pixels - skin).max(axis=-1) > SKIN_DISTANCE).astype(np.uint8)
    other = cv2.morphologyEx(colours, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    # Lashes may touch a strand of hair: thin bridges are cut, and the lashes given back after.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    count, labels = cv2.connectedComponents(cv2.morphologyEx(other, cv2.MORPH_OPEN, disc))
    middle = edge.mean(axis=0) + np.array([0.0, 0.02])
    near = np.hypot(grid[..., 0] - middle[0], grid[..., 1] - middle[1]) < 0.08
    if count < 2 or not labels[near].any():
        return None
    label = np.bincount(labels[near][labels[near] > 0]).argmax()
    core = (labels == label).astype(np.uint8)
    reach = np.minimum(cv2.dilate(core, disc, iterations=2), other).astype(np.uint8)
    pieces = cv2.connectedComponents(reach)[1]
    shape = np.isin(pieces, np.unique(pieces[core > 0]))
    border = core[[0, -1]].any() or core[:, [0, -1]].any()
    width = float(np.ptp(grid[..., 0][shape]))
    # Grown together with hair or glasses, or just a dot: better not to blink than to smear.
    return None if border or not 0.12 < width < 0.6 else shape


def _arc(columns: NDArray[np.intp], outline: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """An outline as a smooth arc (width,), fitted over its sure columns."""
    fit = np.polyfit(columns, outline[columns], 2)
    inner = np.arange(width).clip(columns[0], columns[-1])
    return np.asarray(np.polyval(fit, inner))


def _region(
    frame: FaceFrame, points: NDArray[np.float64], margin: float, rgb: NDArray[np.uint8]
) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Rows and columns of the picture around face `points`, and their face coordinates."""
    at = frame.to_picture(points)
    edge = margin * frame.unit
    left, top = (at.min(axis=0) - edge).astype(int).clip(0)
    right, bottom = np.ceil(at.max(axis=0) + edge).astype(int)
    rows = slice(int(top), min(int(bottom), rgb.shape[0]))
    columns = slice(int(left), min(int(right), rgb.shape[1]))
    return (rows, columns), frame.grid(rgb.shape[:2])[rows, columns]


def _curve(row: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of a row of points (n, 2) at each x, smooth between them."""
    order = np.argsort(row[:, 0])
    return np.asarray(np.interp(x, row[order, 0], row[order, 1]))
