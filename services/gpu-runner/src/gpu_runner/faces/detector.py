"""Face detection by BlazeFace (short range), run with OpenCV's `dnn` module.

The network sees 128x128 pixels and expects a face of a selfie's size. So the picture is looked
at whole, with a margin for faces that fill it, and in overlapping windows for faces far away; what
several views agree on is one face. Candidates are not certain: `mesh.py` tells faces from shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MODELS = Path(__file__).parent / "models"
INPUT_SIDE = 128
MIN_SCORE = 0.5
# Overlap from which two boxes are one face.
SAME_FACE = 0.4
# Views as (window side as a share of the longer side, step as a share of the window). The far
# views are many, so they are taken only when the near ones show nobody.
NEAR_VIEWS = ((1.5, 1.0), (1.0, 1.0), (0.5, 0.5))
FAR_VIEWS = ((0.25, 0.6),)


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face.

    `box` is (left, top, right, bottom) and `eyes` two (x, y) points, the image's left one first,
    all in pixels of the picture; `score` is the network's confidence, 0-1.
    """

    box: tuple[float, float, float, float]
    eyes: tuple[tuple[float, float], tuple[float, float]]
    score: float

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.box[2] - self.box[0]


def detect_faces(rgb: NDArray[np.uint8]) -> list[Face]:
    """Find candidate faces in `rgb` (height, width, 3), the most certain first."""
    for views in (NEAR_VIEWS, FAR_VIEWS):
        found: list[Face] = []
        for left, top, side in _windows(rgb.shape[1], rgb.shape[0], views):
            found.extend(_detect_in_window(rgb, left, top, side))
        if found:
            return _merge(found)
    return []


def _windows(
    width: int, height: int, views: Sequence[tuple[float, float]]
) -> Iterator[tuple[float, float, float]]:
    """Square windows (left, top, side) that together cover the picture at each scale."""
    longer = max(width, height)
    for share, step in views:
        side = share * longer
        for top in _offsets(height, side, step):
            for left in _offsets(width, side, step):
                yield left, top, side


def _offsets(length: float, side: float, step: float) -> NDArray[np.float64]:
    if side >= length:
        return np.array([(length - side) / 2])
    count = int(np.ceil((length - side) / (side * step))) + 1
    return np.linspace(0.0, length - side, count)


def _detect_in_window(
    rgb: NDArray[np.uint8], left: float, top: float, side: float
) -> Iterator[Face]:
    scale = INPUT_SIDE / side
    view = _resample(rgb, left, top, side)
    network = _network()
    network.setInput(cv2.dnn.blobFromImage(view, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
    scores, boxes = network.forward(["classificators", "regressors"])
    certainty = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -60, 60)))
    numbers = boxes.reshape(-1, 16)
    anchors = _anchors()
    for index in np.flatnonzero(certainty >= MIN_SCORE):
        cx, cy = (numbers[index, :2] + anchors[index]) / scale + (left, top)
        half_w, half_h = numbers[index, 2:4] / scale / 2
        eyes = (numbers[index, 4:8].reshape(2, 2) + anchors[index]) / scale + (left, top)
        yield Face(
            (float(cx - half_w), float(cy - half_h), float(cx + half_w), float(cy + half_h)),
            ((float(eyes[0, 0]), float(eyes[0, 1])), (float(eyes[1, 0]), float(eyes[1, 1]))),
            float(certainty[index]),
        )


def _resample(rgb: NDArray[np.uint8], left: float, top: float, side: float) -> NDArray[np.uint8]:
    """Scale a window to the network's input, with black where it leaves the picture."""
    x0, y0 = max(0, int(left)), max(0, int(top))
    x1, y1 = (int(np.ceil(v + side)) for v in (left, top))
    part = rgb[y0:y1, x0:x1]
    scale = INPUT_SIDE / side
    # Area averaging first: a plain warp would alias large pictures.
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    shift = np.array([[1.0, 0, (x0 - left) * scale], [0, 1.0, (y0 - top) * scale]])
    return cast("NDArray[np.uint8]", cv2.warpAffine(small, shift, (INPUT_SIDE, INPUT_SIDE)))


def _merge(faces: list[Face]) -> list[Face]:
    """Fuse overlapping detections into their score-weighted mean (BlazeFace paper, section 3.4)."""
    rest = sorted(faces, key=lambda face: face.score, reverse=True)
    merged: list[Face] = []
    while rest:
        best = rest[0]
        same = [face for face in rest if overlap(face.box, best.box) >= SAME_FACE]
        rest = [face for face in rest if face not in same]
        weights = np.array([face.score for face in same])
        box = np.average([face.box for face in same], axis=0, weights=weights)
        eyes = np.average([face.eyes for face in same], axis=0, weights=weights)
        merged.append(
            Face(
                (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                ((float(eyes[0, 0]), float(eyes[0, 1])), (float(eyes[1, 0]), float(eyes[1, 1]))),
                best.score,
            )
        )
    return merged


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over the smaller box: a part of a face is the same face."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / max(smaller, 1e-9)


@cache
def _network() -> cv2.dnn.Net:
    return cv2.dnn.readNetFromTFLite(str(MODELS / "face_detection_short_range.tflite"))


@cache
def _anchors() -> NDArray[np.float64]:
    """Centres (896, 2) in input pixels: two per cell at stride 8, then six at stride 16."""
    parts = []
    for stride, per_cell in ((8, 2), (16, 6)):
        line = (np.arange(INPUT_SIDE // stride) + 0.5) * stride
        x, y = np.meshgrid(line, line)
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(parts)
