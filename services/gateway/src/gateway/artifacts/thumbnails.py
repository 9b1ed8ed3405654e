"""Small pictures of large ones, made when they are asked for and kept for a while.

Pictures come from strangers, so a process of its own decodes them, one at a time: no more than one
large picture is ever in memory, and not in ours.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog
from contracts.artifacts import Artifact
from contracts.media import PICTURE_FORMATS
from servicekit.objects import MissingObjectError, ObjectStore
from servicekit.sandbox.helper import ConfinedError, Helper

from gateway.artifacts import shrinking
from gateway.artifacts.downloads import erased
from gateway.problems import Problem, ProblemKind

log = structlog.get_logger(__name__)

MEDIA_TYPE = "image/webp"
LEAST, USUAL, MOST = 64, 320, 1024
"""Pixels of the longer side."""

_KEPT_BYTES = 32_000_000
_LARGEST_BYTES = 64_000_000
_LONGEST_BYTES = 8_000_000


class Thumbnails:
    """Thumbnails by content and size."""

    def __init__(self, store: ObjectStore, most_pixels: int) -> None:
        self._store = store
        self._most_pixels = most_pixels
        self._turn = asyncio.Lock()
        self._helper = Helper(shrinking.__name__, shrinking.LIMITS)
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
        wish = {"size": size, "most_pixels": self._most_pixels}
        try:
            answer, made = await asyncio.to_thread(self._helper.ask, wish, data, _LONGEST_BYTES)
        except ConfinedError as error:
            log.warning("thumbnail.given_up", key=artifact.key, reason=error.reason)
            raise no_thumbnail("It would take too much, or is damaged.") from error
        if refused := answer.get("refused"):
            raise no_thumbnail(str(refused))
        return bytes(made)

    def _keep(self, place: tuple[str, int], data: bytes) -> None:
        self._kept[place] = data
        self._bytes += len(data)
        while self._bytes > _KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def no_thumbnail(why: str) -> Problem:
    """The problem of something that has no thumbnail."""
    return Problem(
        ProblemKind.NO_THUMBNAIL,
        f"There is no thumbnail of this. {why}",
        "Fetch the object itself: leave out `/thumbnail`.",
    )
