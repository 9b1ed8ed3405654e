"""A short text in a picture's corner that everybody sees, such as "AI generated".

Content credentials tell programs how a file was made; this tells people, wherever it is shown. It
stands at the upper right, where no subtitles come, in white letters that a dark rim sets off from
whatever is behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from gpu_runner.media.typeface import UndrawableError, printable, typeface
from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the picture's shorter side; letters smaller than the least cannot be read.
LETTERS, MARGIN = 0.034, 0.03
LEAST_LETTERS = 9
RIM = 0.12
OPACITY = 0.9


class Mark:
    """Draws its text into pictures of one size. Any thread may use it."""

    def __init__(self, text: str, width: int, height: int) -> None:
        """Prepare for pictures of `width` by `height` pixels; an empty `text` draws nothing.

        Raises:
            StageError: `mark-undrawable` if the typeface lacks its letters, or it does not fit.

        """
        self._strip = _strip(text.strip(), width, height) if text.strip() else None

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`rgb` (height, width, 3) with the mark; itself if there is none, else a copy."""
        if self._strip is None:
            return rgb
        (left, top), letters, alpha = self._strip
        marked = rgb.copy()
        window = marked[top : top + alpha.shape[0], left : left + alpha.shape[1]]
        window[:] = cv2.blendLinear(letters, np.ascontiguousarray(window), alpha, 1 - alpha)
        return marked


def marked(rgb: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """One picture (height, width, 3) with a mark; see `Mark`."""
    return Mark(text, rgb.shape[1], rgb.shape[0])(rgb)


def _strip(
    text: str, width: int, height: int
) -> tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]:
    """The mark as its place (left, top), colours (h, w, 3) and coverage 0-1 (h, w)."""
    short = min(width, height)
    size = max(LEAST_LETTERS, round(LETTERS * short))
    try:
        words = printable(text, typeface(size))
    except UndrawableError as error:
        raise _undrawable("has letters that cannot be drawn") from error
    if not words:
        raise _undrawable("has nothing that can be drawn")
    margin = round(MARGIN * short)
    while typeface(size).getlength(words) > width - 2 * margin:
        size -= 1
        if size < LEAST_LETTERS:
            raise _undrawable("is too long for so small a picture")
    rim = max(1, round(RIM * size))
    wide, tall = round(typeface(size).getlength(words)) + 2 * rim, round(1.3 * size) + 2 * rim
    mask, white = Image.new("L", (wide, tall)), Image.new("L", (wide, tall))
    for image, stroke in ((mask, rim), (white, 0)):
        ImageDraw.Draw(image).text(
            (wide / 2, tall / 2), words, 255, font=typeface(size), anchor="mm", stroke_width=stroke
        )
    alpha = OPACITY * np.asarray(mask, np.float32) / 255
    letters = np.repeat(np.asarray(white, np.uint8)[..., None], 3, axis=2)
    left, top = max(0, width - margin - wide), margin
    rows, columns = min(tall, height - top), min(wide, width - left)
    shape = (slice(rows), slice(columns))
    return (left, top), np.ascontiguousarray(letters[shape]), np.ascontiguousarray(alpha[shape])


def _undrawable(what: str) -> StageError:
    return StageError(
        "mark-undrawable", f"the mark {what}", "Use a few English words, or leave it out."
    )
