"""Unpacks pictures that came from outside, within the process that is for it (`media.decoder`).

A picture may be anything: turned by its camera, in ink colours, with sixteen bits, animated,
cut off, huge, or no picture at all. Whatever it is, the rest of the code sees either upright
8-bit sRGB pixels or a `StageError` that says which photo is wrong and what to do.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from contracts.media import (
    MAX_PICTURE_PIXELS,
    PICTURE_ERRORS,
    PICTURE_FORMATS,
    has_too_many_scans,
)
from PIL import Image, ImageCms, ImageOps

from gpu_runner.stage import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `rgb` (height, width, 3), and how many `frames` or pages its file has."""

    rgb: NDArray[np.uint8]
    frames: int


def unpack_picture(data: bytes | bytearray, label: str) -> Picture:
    """The picture in these bytes; see `read_picture`."""
    if has_too_many_scans(data):
        raise unreadable(label)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures before our own, stricter limit can refuse them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(PICTURE_FORMATS.values())) as image:
                if image.width * image.height > MAX_PICTURE_PIXELS:
                    raise _too_large(label)
                image.load()
                return Picture(_to_rgb(image), int(getattr(image, "n_frames", 1)))
    except Image.DecompressionBombError as error:
        raise _too_large(label) from error
    except PICTURE_ERRORS as error:
        raise unreadable(label) from error


def unreadable(label: str) -> StageError:
    """What is no picture, or costs too much to be one."""
    return StageError(
        "picture-unreadable",
        f"{label} is not a complete picture in a known format",
        "Use a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file that opens in a picture viewer.",
    )


def _too_large(label: str) -> StageError:
    return StageError(
        "picture-too-large",
        f"{label} has more than {MAX_PICTURE_PIXELS // 1_000_000} million pixels",
        "Scale it down and try again.",
    )


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    # In place, as most need no turn, and a copy of a large picture is as large.
    ImageOps.exif_transpose(image, in_place=True)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    flat = _to_eight_bits(image)
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
