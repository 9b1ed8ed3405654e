"""Detail transfer: the coarse picture of a small model, the fine detail of a photo.

The model's change of the coarse picture is enlarged along the photo's own edges, by a guided
filter (He, Sun and Tang, "Guided Image Filtering", TPAMI 2013), and added to the photo.
A plain enlargement would leave halos wherever colours change at an outline.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_runner.engines.diffusion.components import Rgb

Plane = NDArray[np.float32]
Coarse = NDArray[np.uint8] | NDArray[np.float64]

REACH = 3
"""How many coarse pixels around a place are looked at: single ones may be wrong."""
EDGE = 0.02
"""Steps of brightness (0 to 1) below this are texture to the filter, above it an edge."""


def transfer_detail(photo: Rgb, coarse_before: Rgb, coarse_after: Coarse) -> Rgb:
    """`photo` [n, n, 3] with the change from `coarse_before` to `coarse_after` [m, m, 3] put on."""
    side = photo.shape[0]
    change = (coarse_after.astype(np.float32) - coarse_before.astype(np.float32)) / 255
    wide = np.asarray(cv2.resize(change, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    guide = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
    radius = max(1, round(side / coarse_before.shape[0] * REACH))
    planes = [guided_filter(guide, wide[..., channel], radius, EDGE) for channel in range(3)]
    result = photo.astype(np.float32) + 255 * np.stack(planes, axis=-1)
    return np.asarray(np.clip(np.rint(result), 0, 255), np.uint8)


def guided_filter(guide: Plane, plane: Plane, radius: int, edge: float) -> Plane:
    """`plane` smoothed over `radius` pixels, but not across edges of `guide`; both [h, w]."""

    def mean(values: Plane) -> Plane:
        size = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT), np.float32)

    guide_mean, plane_mean = mean(guide), mean(plane)
    slope = (mean(guide * plane) - guide_mean * plane_mean) / (
        mean(guide * guide) - guide_mean**2 + np.float32(edge**2)
    )
    offset = plane_mean - slope * guide_mean
    return mean(slope) * guide + mean(offset)
