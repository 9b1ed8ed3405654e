"""Files on their way from a request into the object store.

Bytes go through as they arrive. Whatever a request has stored is undone unless the request
ends well, so an upload that is refused or broken off leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

import structlog
from contracts.artifacts import Artifact
from servicekit.objects import ObjectStore, ObjectStoreError, ObjectWriter

from gateway import content, metrics
from gateway.problems import Problem, ProblemKind
from gateway.settings import Limits

log = structlog.get_logger(__name__)

_PROBE_FROM = 16 << 10
# A picture's size stands in its first bytes, but for a few with large profiles or previews,
# or with their directory at the end. Those that tell it later are judged by the stage that decodes.
_PROBE_TO = 4 << 20


class FileKind(Enum):
    """What a file is for."""

    PHOTO = "photo"
    CLIP = "clip"


@dataclass(slots=True)
class Uploads:
    """The objects that one request has stored so far."""

    store: ObjectStore
    limits: Limits
    new_key: Callable[[], str]
    _stored: list[str] = field(default_factory=list)
    _open: list[ObjectWriter] = field(default_factory=list)

    def file(self, kind: FileKind, label: str) -> IncomingFile:
        """Begin to receive a file. `label` is what problems call it, such as "photo 3"."""
        return IncomingFile(self, kind, label)

    async def text(self, text: str) -> Artifact:
        """Store what a user wrote."""
        data = text.encode()
        artifact = await self.store.put(self.new_key(), data, "text/plain")
        self._stored.append(artifact.key)
        return artifact

    def begin(self, media_type: str) -> ObjectWriter:
        """Begin an object that `finish` completes."""
        writer = self.store.writer(self.new_key(), media_type)
        self._open.append(writer)
        return writer

    async def finish(self, writer: ObjectWriter) -> Artifact:
        """Complete an object."""
        artifact = await writer.finish()
        self._open.remove(writer)
        self._stored.append(artifact.key)
        return artifact

    def keep(self) -> None:
        """The objects have a job now: they stay."""
        self._stored.clear()

    async def undo(self) -> None:
        """Remove what was stored and is not kept."""
        for writer in self._open:
            with _logged("upload.not_aborted"):
                await writer.abort()
        for key in self._stored:
            with _logged("upload.not_deleted"):
                await self.store.delete(key)
        self._open.clear()
        self._stored.clear()


@contextlib.contextmanager
def _logged(event: str) -> Iterator[None]:
    try:
        yield
    except ObjectStoreError as error:
        log.warning(event, detail=str(error))


@asynccontextmanager
async def uploading(
    store: ObjectStore, limits: Limits, new_key: Callable[[], str]
) -> AsyncIterator[Uploads]:
    """Uploads of one request; those not kept when the context ends are removed."""
    uploads = Uploads(store, limits, new_key)
    try:
        yield uploads
    finally:
        # The client may have gone, and its request been cancelled with it.
        await asyncio.shield(uploads.undo())


@dataclass(slots=True)
class IncomingFile:
    """One file while it arrives."""

    uploads: Uploads
    kind: FileKind
    label: str
    size: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _probe_at: int | None = _PROBE_FROM
    _writer: ObjectWriter | None = None

    async def write(self, data: bytes) -> None:
        """Take more bytes; Problem as soon as they cannot be what they should."""
        self.size += len(data)
        metrics.UPLOADED_BYTES.labels(self.kind.value).inc(len(data))
        self._check_size()
        if self._writer is not None:
            await self._writer.write(data)
        if self._writer is None or self._probe_at is not None:
            self._head += data
        if self._writer is None and len(self._head) >= content.HEAD_BYTES:
            await self._begin()
        if self._probe_at is not None and len(self._head) >= self._probe_at:
            self._probe()

    async def finish(self) -> Artifact | None:
        """The stored file, or None if it is empty: browsers send that for no choice."""
        if self.size == 0:
            return None
        if self._writer is None:
            await self._begin()
        if self._probe_at is not None:
            self._probe()
            if self._probe_at is not None:
                raise self._not_a_picture("is cut off or damaged")
        assert self._writer is not None  # noqa: S101 - `_begin` made it
        return await self.uploads.finish(self._writer)

    async def _begin(self) -> None:
        head = bytes(self._head)
        if self.kind is FileKind.PHOTO:
            media_type = content.picture_type(head)
            if media_type is None:
                known = "is a HEIF picture" if content.is_heif(head) else "is not a picture"
                raise self._not_a_picture(known)
        else:
            self._probe_at = None
            media_type = content.sound_type(head)
            if media_type is None:
                raise Problem(
                    ProblemKind.NOT_A_RECORDING,
                    f"The {self.label} is not a sound file of a known kind.",
                    "Send a WAV, MP3, FLAC, OGG, M4A or WebM recording.",
                    field=self.kind.value,
                )
        self._writer = self.uploads.begin(media_type)
        await self._writer.write(head)
        if self._probe_at is None:
            self._head.clear()

    def _probe(self) -> None:
        size = content.picture_size(bytes(self._head))
        if size is not None:
            self._check_pixels(*size)
        elif self._probe_at is not None and len(self._head) < _PROBE_TO:
            while self._probe_at <= len(self._head):
                self._probe_at *= 4
            return
        self._probe_at = None
        self._head.clear()

    def _check_size(self) -> None:
        limits = self.uploads.limits
        most = limits.photo_bytes if self.kind is FileKind.PHOTO else limits.clip_bytes
        if self.size > most:
            raise Problem(
                ProblemKind.UPLOAD_TOO_LARGE,
                f"The {self.label} is larger than {most / 1e6:g} MB.",
                "Send a smaller file: "
                + (
                    "4 megapixels are plenty for a photo."
                    if self.kind is FileKind.PHOTO
                    else "a minute of clear speech is enough."
                ),
                limit=most,
            )

    def _check_pixels(self, width: int, height: int) -> None:
        most = self.uploads.limits.photo_pixels
        if width * height > most:
            raise Problem(
                ProblemKind.PICTURE_TOO_LARGE,
                f"The {self.label} claims to have more than {most / 1e6:g} million pixels.",
                "Scale it down and try again.",
                limit=most,
            )

    def _not_a_picture(self, what: str) -> Problem:
        return Problem(
            ProblemKind.NOT_A_PICTURE,
            f"The {self.label} {what}.",
            "Send a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file that opens in a picture viewer.",
            field=self.kind.value,
        )
