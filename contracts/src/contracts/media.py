"""The kinds of pictures that are taken in.

The gateway judges them by their first bytes and the runner decodes them, so both ask here.
"""

from __future__ import annotations

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
