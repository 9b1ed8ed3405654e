"""Where the lips of an open mouth end in the picture.

The mesh reads a gap between lips as smaller than it is, by half and more on soft faces. A mouth
closed by its points alone keeps a slit of teeth and shadow, at every p, b and m. So the inner
edge of each lip is looked for from the mesh's line outwards, where colours change most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gpu_runner.engines.warp.geometry import LOWER_LIP, UPPER_LIP, FaceFrame, smoothest_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An edge lies at most this far from the mesh's, in outer-eye distances, and within this share of
# the lip, whose other edge is one, too.
FARTHEST, OF_LIP = 0.045, 0.6
COLUMNS, STEPS = 61, 46
SOFTNESS = 0.008
# What moving away from the mesh's line costs, beside a mean change of colour of 1.
CAUTION = 0.5


def snap_edges(
    rgb: NDArray[np.uint8], frame: FaceFrame, face: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The face's points (468, 2) with the lips' inner edges where `rgb` shows them.

    Args:
        rgb: the portrait (height, width, 3).
        frame: the map between it and the points.
        face: the mesh, in face coordinates, of a face whose lips are apart.

    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), SOFTNESS * frame.unit).astype(np.float32)
    snapped = face.copy()
    for rows in (UPPER_LIP, LOWER_LIP):
        outer, inner = face[list(rows[0])], face[list(rows[-1])]
        shift = _outward(lab, frame, inner, outer)
        # The rows between go along, so that none overtakes another.
        for share, row in zip(np.linspace(0, 1, len(rows)), rows, strict=True):
            snapped[list(row)] += share * shift
    return snapped


def _outward(
    lab: NDArray[np.float32],
    frame: FaceFrame,
    inner: NDArray[np.float64],
    outer: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far (11, 2) the points of a lip's inner row lie from its edge."""
    along = np.linspace(0, len(inner) - 1, COLUMNS)
    place = np.arange(len(inner))

    def line(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(along, place, axis) for axis in points.T], axis=-1)

    edge, lip = line(inner), line(outer) - line(inner)
    thickness = np.hypot(*lip.T)
    way = np.minimum(OF_LIP, FARTHEST / thickness.clip(1e-6))[:, None] * lip
    # Corners stay: both lips meet there.
    taper = (1 - (2 * along / along[-1] - 1) ** 2) ** 0.5
    steps = np.linspace(0, 1, STEPS)
    where = edge[None] + steps[:, None, None] * (taper[:, None] * way)[None]
    at = frame.to_picture(where).astype(np.float32)
    band = cv2.remap(lab, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    change = np.linalg.norm(np.gradient(band.astype(np.float64), axis=0), axis=-1)
    gain = change / max(float(change.mean()), 1e-6) - CAUTION * steps[:, None]
    path = smoothest_path(gain)
    share = np.polyval(np.polyfit(along, steps[path], 4), place).clip(0.0, 1.0)
    reach = np.stack([np.interp(place, along, axis) for axis in (taper[:, None] * way).T], axis=-1)
    return np.asarray(share[:, None] * reach)
