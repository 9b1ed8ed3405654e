"""Decoding of pictures that came from outside.

A picture may be anything: turned by its camera, in ink colours, with sixteen bits, animated,
cut off, huge, or no picture at all. Whatever it is, the rest of the code sees either upright
8-bit sRGB pixels or a `StageError` that says which photo is wrong and what to do.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from contracts.media import MAX_PICTURE_PIXELS, PICTURE_FORMATS
from PIL import Image, ImageCms, ImageOps

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 4096

# Besides OSError, Pillow's decoders let these through when bytes are damaged.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `rgb` (height, width, 3), and how many `frames` or pages its file has."""

    rgb: NDArray[np.uint8]
    frames: int


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
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures before our own, stricter limit can refuse them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=tuple(PICTURE_FORMATS.values())) as image:
                if image.width * image.height > MAX_PICTURE_PIXELS:
                    raise _too_large(label)
                image.load()
                return Picture(_to_rgb(image), int(getattr(image, "n_frames", 1)))
    except Image.DecompressionBombError as error:
        raise _too_large(label) from error
    except DECODE_ERRORS as error:
        raise StageError(
            "picture-unreadable",
            f"{label} is not a complete picture in a known format",
            "Use a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file that opens in a picture viewer.",
        ) from error


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Write `rgb` (height, width, 3) in the format of the path's extension and return the path."""
    Image.fromarray(rgb).save(path, quality=92, optimize=True)
    return path


def _too_large(label: str) -> StageError:
    return StageError(
        "picture-too-large",
        f"{label} has more than {MAX_PICTURE_PIXELS // 1_000_000} million pixels",
        "Scale it down and try again.",
    )


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    flat = _to_eight_bits(upright)
    if flat.has_transparency_data:
        layer = flat.convert("RGBA")
        flat = Image.new("RGBA", layer.size, "white")
        flat.alpha_composite(layer)
    return np.array(_to_srgb(flat, image.info.get("icc_profile")), dtype=np.uint8)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale single-channel integers and floats to bytes: Pillow's own conversion would clip."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    peak = float(values.max(initial=0.0))
    if image.mode.startswith("I"):
        full = 65535.0 if peak > 255 or image.mode.startswith("I;16") else 255.0
    else:
        full = max(peak, 1.0)
    return Image.fromarray((values.clip(0.0, full) * (255.0 / full)).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert by the embedded colour profile (phones write Display P3), or plainly without one."""
    mode = image.mode if image.mode in {"RGB", "CMYK", "L"} else "RGB"
    source = image.convert(mode)
    if isinstance(profile, bytes) and profile:
        try:
            converted = ImageCms.profileToProfile(
                source,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            # A broken or foreign profile only costs exact colours.
            return source.convert("RGB")
        if converted is not None:
            return converted
    return source.convert("RGB")
