"""What stands still behind the moving face: the rest of the picture, sharp or out of focus.

Only the face's region is rendered for every frame and laid onto the still picture, so a larger
background costs next to nothing. For a blurred background the person is cut out once, by GrabCut
(Rother et al. 2004) from what the face tells of where head and shoulders must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import OVAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpu_runner.engines.warp.canvas import Region
    from gpu_runner.faces.mesh import Mesh

# Blur at full strength, as a share of the canvas's shorter side.
STRONGEST = 0.03
# Person and background are told apart on a picture whose face is this wide.
FACE_PIXELS = 80.0
GRABCUT_ROUNDS = 4
# Softness of the person's outline, in face widths.
FEATHER = 0.02
LEAST_SIGMA = 4.0


class Backdrop:
    """The still part of all frames. Any thread may use it."""

    def __init__(
        self, canvas: NDArray[np.uint8], region: Region, mesh: Mesh, blur: float = 0.0
    ) -> None:
        """Prepare the background.

        Args:
            canvas: the picture at rest (height, width, 3).
            region: where the face is laid (left, top, right, bottom).
            mesh: the face, in the canvas's pixels.
            blur: how far the background is out of focus, 0-1.

        """
        left, top, right, bottom = region
        self._window = slice(top, bottom), slice(left, right)
        self._still = canvas
        self._soft: NDArray[np.uint8] | None = None
        if blur > 0:
            person = person_mask(canvas, mesh)
            soft = _without(canvas, person, blur * STRONGEST * min(canvas.shape[:2]))
            self._still = _blend(canvas, soft, person)
            self._person = np.ascontiguousarray(person[self._window])
            self._soft = np.ascontiguousarray(soft[self._window])

    def behind(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole frame (height, width, 3) around the rendered region `face`."""
        if self._soft is not None:
            face = _blend(face, self._soft, self._person)
        if face.shape == self._still.shape:
            return face
        frame = self._still.copy()
        frame[self._window] = face
        return frame


def person_mask(rgb: NDArray[np.uint8], mesh: Mesh) -> NDArray[np.float32]:
    """Where head and shoulders are in `rgb` (height, width, 3): 1, softly falling to 0."""
    height, width = rgb.shape[:2]
    scale = min(1.0, FACE_PIXELS / mesh.width)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    labels = _likely(small.shape[:2], mesh.points[:, :2] * scale)
    sure = labels == cv2.GC_FGD
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(1)
    cv2.grabCut(
        np.ascontiguousarray(small),
        labels,
        (0, 0, 1, 1),
        models[0],
        models[1],
        GRABCUT_ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    found = cv2.morphologyEx(cv2.morphologyEx(found, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc)
    whole = _filled(_joined(np.asarray(found, dtype=np.uint8), sure))
    # The outline moves by a pixel or two with the head: a little of what surrounds it comes along.
    whole = cv2.dilate(whole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    mask = cv2.resize(whole.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), FEATHER * mesh.width), dtype=np.float32)


def _likely(shape: tuple[int, ...], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """GrabCut's labels (height, width) before it has looked at colours."""
    height, width = shape[0], shape[1]
    oval = points[list(OVAL)]
    low, high = oval.min(axis=0), oval.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    face = float(high[0] - low[0])
    y, x = np.mgrid[:height, :width]
    dx, dy = (x - middle[0]) / half[0], (y - middle[1]) / half[1]
    below = (y - high[1]) / face
    beside = np.abs(x - middle[0]) / face
    crown = np.hypot(dx / 1.1, np.where(dy < 0, dy / 1.2, dy))
    # All that may be hair or clothes counts as person at first: the wall in it is told by the wall
    # beside it. The other way round, high hair would be background, and all other hair with it.
    labels = np.full((height, width), cv2.GC_PR_FGD, np.uint8)
    edge = np.minimum(x, width - 1 - x) < max(2.0, 0.05 * width)
    labels[((beside > 1.1) | edge) & (below < 0)] = cv2.GC_BGD
    labels[(below >= 0) & (beside > 0.8 + 3.0 * below)] = cv2.GC_BGD
    labels[(below > 0) & (beside < 0.18 + 0.25 * below)] = cv2.GC_FGD
    labels[(crown < 1) & (dy < 0)] = cv2.GC_FGD
    inner = middle + (oval - middle) * 0.92
    cv2.fillPoly(labels, [np.round(inner).astype(np.int32)], cv2.GC_FGD)
    return labels


def _joined(found: NDArray[np.uint8], sure: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The parts of `found` that hang together with what is surely the person."""
    _, parts = cv2.connectedComponents(found)
    own = set(np.unique(parts[sure & (found > 0)]).tolist()) - {0}
    return (np.isin(parts, list(own)) | sure).astype(np.uint8)


def _filled(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`mask` without the holes in it: eyes and glasses are no background."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(mask.copy(), outlines, -1, 1, cv2.FILLED), dtype=np.uint8)


def _without(
    rgb: NDArray[np.uint8], person: NDArray[np.float32], sigma: float
) -> NDArray[np.uint8]:
    """`rgb` blurred by `sigma` pixels, from background only, so that no halo surrounds the head."""
    # What is blurred that much may be computed on a smaller picture.
    scale = min(1.0, LEAST_SIGMA / sigma)
    small = np.asarray(
        cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8
    )
    size = (small.shape[1], small.shape[0])
    mask = np.asarray(cv2.resize(person, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    behind = (1 - mask)[..., None].clip(1e-4, 1.0)
    near = _spread(small, behind, scale * sigma)
    # Wide enough that there is background in reach of every place behind the person.
    far = _spread(small, behind, 6 * scale * sigma)
    trust = cv2.GaussianBlur(behind, (0, 0), scale * sigma).clip(0.0, 0.3)[..., None] / 0.3
    mixed = (far + (near - far) * trust).round().clip(0, 255).astype(np.uint8)
    full = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(mixed, full, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _spread(
    rgb: NDArray[np.uint8], weight: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """`rgb` blurred with each pixel counting by its `weight` (height, width, 1)."""
    blurred = cv2.GaussianBlur(rgb * weight, (0, 0), sigma)
    return np.asarray(blurred / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None], np.float32)


def _blend(
    over: NDArray[np.uint8], under: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    return np.asarray(cv2.blendLinear(over, under, alpha, 1 - alpha), dtype=np.uint8)
