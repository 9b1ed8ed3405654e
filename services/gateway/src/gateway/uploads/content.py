"""What a file is, judged by its content: names and declared types are not believed."""

from __future__ import annotations

import io
import warnings

from contracts.media import PICTURE_ERRORS, PICTURE_FORMATS
from PIL import Image

from gateway.uploads.dimensions import avif_size, webp_size

HEAD_BYTES = 32
"""How many first bytes `picture_type` and `sound_type` need, unless the file is shorter."""

_OWN_READERS = {"image/webp": webp_size, "image/avif": avif_size}
_READ_BY_PILLOW = tuple(name for kind, name in PICTURE_FORMATS.items() if kind not in _OWN_READERS)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def picture_type(head: bytes) -> str | None:
    """The media type of the picture that begins so, or None if it is of no known kind."""
    for magic, media_type in (
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
    ):
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF_BRANDS:
        return "image/avif"
    return None


def is_heif(head: bytes) -> bool:
    """Whether this is a HEIF picture, as iPhones take them: known, and not supported."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def sound_type(head: bytes) -> str | None:
    """The media type of the recording that begins so, or None if it is of no known kind."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp" and not is_heif(head) and head[8:12] not in _AVIF_BRANDS:
        return "audio/mp4"
    for magic, media_type in (
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"\x1a\x45\xdf\xa3", "audio/webm"),
        (b"ID3", "audio/mpeg"),
    ):
        if head.startswith(magic):
            return media_type
    # An MPEG audio frame: eleven set bits, a known version, layer III or II, a known bit rate.
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4
        if version != 1 and layer in (1, 2) and rate not in (0, 15):
            return "audio/mpeg"
    return None


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a picture's header tells; no pixel is decoded.

    None if the header is not complete in `head`, or is damaged.
    """
    if (own := _OWN_READERS.get(picture_type(head) or "")) is not None:
        return own(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(head), formats=_READ_BY_PILLOW) as image:
                return image.size
    except Image.DecompressionBombError:
        # More than Pillow itself would open; the exact number does not matter to anybody.
        return (1 << 16, 1 << 16)
    except PICTURE_ERRORS:
        return None
