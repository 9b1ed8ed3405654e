"""Which moment of a short scene is seen at each frame of a longer speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

# At its ends the scene slows down and comes back, within about this time in seconds.
TURN = 0.12


def positions(count: int, fps: int, pictures: int, rate: float) -> NDArray[np.float64]:
    """The place in the scene, 0 to pictures - 1, at each of `count` frames.

    The scene runs there and back as often as is needed. The turns are rounded, so that nothing
    jerks: what moves slows down, stops and goes back.

    Args:
        count: frames of the video.
        fps: of the video.
        pictures: of the scene.
        rate: pictures a second of the scene.

    """
    last = pictures - 1
    if last < 1:
        return np.zeros(count)
    margin = int(4 * TURN * fps) + 1
    at = np.arange(-margin, count + margin) * rate / fps
    there_and_back = last - np.abs(last - np.abs(at) % (2 * last))
    # On scenes hardly longer than a turn a wide filter would leave no movement.
    sigma = min(TURN, last / rate / 6) * fps
    return gaussian_filter1d(there_and_back, sigma)[margin : margin + count].clip(0.0, last)
