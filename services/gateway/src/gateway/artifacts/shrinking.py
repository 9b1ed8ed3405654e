"""Makes pictures smaller, in a process that can do nothing else: they come from strangers.

Little is imported here, as that process imports no more: `python -m gateway.artifacts.shrinking`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

from contracts.media import PICTURE_ERRORS, PICTURE_FORMATS, has_too_many_scans
from PIL import Image, ImageOps
from servicekit.sandbox.confinement import Limits
from servicekit.sandbox.serving import Send, serve

LIMITS = Limits(memory_bytes=640 << 20, cpu_s=20, patience_s=60.0)
"""A picture of 64 million pixels takes 256 MiB, and as much once more to change its colours."""

_QUALITY = 80


class ShrinkError(Exception):
    """The picture cannot be made smaller; the message is for its owner."""


def shrunk(data: bytes | bytearray, size: int, most_pixels: int) -> bytes:
    """A picture as a small WebP, upright and without anything but its pixels.

    JPEG is decoded at a fraction of its size from the start, which is several times as fast.

    Raises:
        ShrinkError: it is damaged, or would take too much.

    """
    if has_too_many_scans(data):
        raise ShrinkError("It would take too long to draw.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(PICTURE_FORMATS.values())) as image:
                if image.width * image.height > most_pixels:
                    raise ShrinkError("It has too many pixels.")
                image.draft("RGB", (2 * size, 2 * size))
                # Where nothing has to be done to a picture, no copy of it is made.
                ImageOps.exif_transpose(image, in_place=True)
                mode = "RGBA" if image.has_transparency_data else "RGB"
                small: Image.Image = image if image.mode == mode else image.convert(mode)
                small.thumbnail((size, size), Image.Resampling.LANCZOS)
                made = io.BytesIO()
                small.save(made, "WEBP", quality=_QUALITY, exif=b"", icc_profile=b"")
                return made.getvalue()
    except (*PICTURE_ERRORS, Image.DecompressionBombError) as error:
        raise ShrinkError("It is damaged.") from error


def _handle(wish: Mapping[str, Any], data: bytearray, send: Send) -> Mapping[str, Any]:
    try:
        send(shrunk(data, wish["size"], wish["most_pixels"]))
    except ShrinkError as error:
        return {"refused": str(error)}
    return {}


def main() -> None:
    """Be that process."""
    # Each plug-in is a file, which cannot be opened any more when it is needed.
    Image.init()
    serve(_handle, LIMITS)


if __name__ == "__main__":
    main()
