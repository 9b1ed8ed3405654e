"""A few seconds of a video as a small moving picture, for lists and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SECONDS, PER_SECOND = 3.0, 12.5
SHORT_SIDE = 240
QUALITY = 55


class Animation:
    """Collects frames while a video is made and writes them as an animated WebP."""

    def __init__(self, count: int, fps: int, begin: float = 0.0) -> None:
        """Choose frames.

        Args:
            count: how many frames the video has.
            fps: of the video.
            begin: from which second on; earlier if the video ends too soon.

        """
        step = max(1, round(fps / PER_SECOND))
        wanted = max(1, round(SECONDS * fps / step))
        first = max(0, min(round(begin * fps), count - wanted * step))
        self._chosen = frozenset(range(first, count, step)[:wanted])
        self._milliseconds = round(1000 * step / fps)
        self._frames: list[Image.Image] = []

    def see(self, index: int, rgb: NDArray[np.uint8]) -> None:
        """Take in frame number `index` (height, width, 3); frames come in order."""
        if index in self._chosen:
            scale = min(1.0, SHORT_SIDE / min(rgb.shape[:2]))
            small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self._frames.append(Image.fromarray(np.asarray(small, dtype=np.uint8)))

    def write(self, path: Path) -> Path:
        """Write what was seen, running in a loop, and return the path."""
        first, *rest = self._frames
        first.save(
            path,
            format="WEBP",
            save_all=True,
            append_images=rest,
            duration=self._milliseconds,
            loop=0,
            quality=QUALITY,
            method=3,
        )
        return path
