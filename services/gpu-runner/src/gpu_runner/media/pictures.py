"""Pictures as files: those that came from outside are unpacked by a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gpu_runner.media import decoder
from gpu_runner.media.unpacking import MAX_SIDE, Picture, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def decode_picture(path: Path, label: str = "the picture") -> NDArray[np.uint8]:
    """The pixels of `read_picture`, for those who ask no more."""
    return read_picture(path, label).rgb


def read_picture(path: Path, label: str = "the picture") -> Picture:
    """Read a picture as upright sRGB.

    Args:
        path: the file; its name and extension are not trusted and never repeated in errors.
        label: how errors call the picture, such as "photo 2".

    Returns:
        Pixels 0-255, no side longer than `MAX_SIDE`. Transparency is laid on white; of an
        animation the first frame is taken.

    Raises:
        StageError: `picture-unreadable` or `picture-too-large`.

    """
    wish = {"kind": "picture", "label": label}
    try:
        told, made = decoder.ask(wish, path, 3 * MAX_SIDE * MAX_SIDE)
    except (decoder.ConfinedError, OSError) as error:
        raise unreadable(label) from error
    return Picture(np.frombuffer(made, np.uint8).reshape(told["shape"]), int(told["frames"]))


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Write `rgb` (height, width, 3) in the format of the path's extension and return the path."""
    Image.fromarray(rgb).save(path, quality=92, optimize=True)
    return path
