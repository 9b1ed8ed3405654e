"""Does one person speak in a clip, or more? A fitted voice of two people resembles neither.

Windows of 1.6 s fall into two groups, as alike within themselves as can be (2-means on the
sphere: Dhillon and Modha 2001). One person's groups sound alike; those of two people do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_runner.speech.speaker import Embedding, normalised, similarity

STEP_SECONDS = 0.8

_FEWEST_WINDOWS = 8
_SMALLEST_GROUP = 1 / 6
"""A laugh, a cough or a slammed door is less."""

_ROUNDS = 15


def likeness_of_two(windows: NDArray[np.float32]) -> float:
    """How alike the two voices are that a clip's windows, shape (windows, 256), tell apart best.

    1.0 if there are too few windows to tell, or if one of the two is hardly heard.
    """
    if len(windows) < _FEWEST_WINDOWS:
        return 1.0
    first, second = np.unravel_index(int(np.argmin(windows @ windows.T)), (len(windows),) * 2)
    one, other = windows[first], windows[second]
    for _ in range(_ROUNDS):
        nearer = windows @ one > windows @ other
        if not _SMALLEST_GROUP <= nearer.mean() <= 1 - _SMALLEST_GROUP:
            return 1.0
        one, other = _middle(windows[nearer]), _middle(windows[~nearer])
    return similarity(one, other)


def _middle(windows: NDArray[np.float32]) -> Embedding:
    return normalised(windows.mean(axis=0))
