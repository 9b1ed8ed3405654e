"""Small pictures of large ones, made when they are asked for and kept for a while.

Pictures come from strangers, so their size is looked at before they are decoded, and only one
is decoded at a time: no more than one large picture is ever in memory.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from collections import OrderedDict

from contracts.artifacts import Artifact
from contracts.media import PICTURE_FORMATS
from PIL import Image, ImageOps
from servicekit.objects import MissingObjectError, ObjectStore

from gateway.artifacts.downloads import erased
from gateway.problems import Problem, ProblemKind
from gateway.uploads.content import HEADER_ERRORS

MEDIA_TYPE = "image/webp"
LEAST, USUAL, MOST = 64, 320, 1024
"""Pixels of the longer side."""

_KEPT_BYTES = 32_000_000
_LARGEST_BYTES = 64_000_000
_QUALITY = 80


class Thumbnails:
    """Thumbnails by content and size."""

    def __init__(self, store: ObjectStore, most_pixels: int) -> None:
        self._store = store
        self._most_pixels = most_pixels
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    async def of(self, artifact: Artifact, size: int) -> bytes:
        """A WebP picture whose longer side has at most `size` pixels.

        Raises Problem if the object is no picture, is damaged or too large, or was erased.
        """
        place = (artifact.sha256, size)
        if place not in self._kept:
            if artifact.media_type not in PICTURE_FORMATS or artifact.size > _LARGEST_BYTES:
                raise no_thumbnail("It is not a picture of a kind that can be made smaller.")
            async with self._turn:
                # Somebody else may have waited for the same one.
                if place not in self._kept:
                    self._keep(place, await self._made(artifact, size))
        self._kept.move_to_end(place)
        return self._kept[place]

    async def _made(self, artifact: Artifact, size: int) -> bytes:
        try:
            data = await self._store.get(artifact)
        except MissingObjectError:
            raise erased() from None
        return await asyncio.to_thread(shrunk, data, size, self._most_pixels)

    def _keep(self, place: tuple[str, int], data: bytes) -> None:
        self._kept[place] = data
        self._bytes += len(data)
        while self._bytes > _KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def shrunk(data: bytes, size: int, most_pixels: int) -> bytes:
    """A picture as a small WebP, upright and without anything but its pixels; Problem if it fails.

    JPEG is decoded at a fraction of its size from the start, which is several times as fast.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(PICTURE_FORMATS.values())) as image:
                if image.width * image.height > most_pixels:
                    raise no_thumbnail("It has too many pixels.")
                image.draft("RGB", (2 * size, 2 * size))
                upright = ImageOps.exif_transpose(image)
                alpha = upright.has_transparency_data
                small = upright.convert("RGBA" if alpha else "RGB")
                small.thumbnail((size, size), Image.Resampling.LANCZOS)
                made = io.BytesIO()
                small.save(made, "WEBP", quality=_QUALITY, exif=b"", icc_profile=b"")
                return made.getvalue()
    except (*HEADER_ERRORS, Image.DecompressionBombError) as error:
        raise no_thumbnail("It is damaged.") from error


def no_thumbnail(why: str) -> Problem:
    """The problem of something that has no thumbnail."""
    return Problem(
        ProblemKind.NO_THUMBNAIL,
        f"There is no thumbnail of this. {why}",
        "Fetch the object itself: leave out `/thumbnail`.",
    )
