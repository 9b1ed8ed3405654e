"""The kinds of pictures that are taken in.

The gateway judges them by their first bytes and the runner decodes them, so both ask here.
"""

from __future__ import annotations

import struct
import zlib

PICTURE_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
}
"""Pillow's name of each media type. Only raster formats whose decoders are self-contained: EPS,
for one, would start Ghostscript."""

MAX_PICTURE_PIXELS = 64_000_000
"""A picture that claims more is refused by its header, before it is unpacked: this is what the
runner takes, and what the gateway takes unless it is told to take less."""

PICTURE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow lets through, beside OSError, when a picture is cut off or damaged."""

MOST_SCANS = 100
"""Of a JPEG. A camera writes one, a progressive picture about ten, and each costs as much time as
the picture has pixels, however little it says."""


def has_too_many_scans(picture: bytes | bytearray) -> bool:
    """Whether this is a JPEG that would be drawn over and over again.

    Within a scan's data the marker that begins the next one cannot occur.
    """
    return picture[:2] == b"\xff\xd8" and picture.count(b"\xff\xda") > MOST_SCANS
