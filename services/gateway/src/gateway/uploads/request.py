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

import structlog
from contracts.artifacts import Artifact
from servicekit.objects import ObjectStore, ObjectStoreError, ObjectWriter

from gateway import metrics
from gateway.settings import Limits
from gateway.uploads.judge import FileKind, Judge

log = structlog.get_logger(__name__)


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
        return IncomingFile(self, Judge(kind, label, self.limits))

    async def text(self, text: str) -> Artifact:
        """Store what a user wrote."""
        data = text.encode()
        artifact = await self.store.put(self.new_key(), data, "text/plain")
        self._stored.append(artifact.key)
        return artifact

    async def copy(self, artifact: Artifact) -> Artifact:
        """Store what lies in the store already once more, as this request's own."""
        copied = await self.store.copy(artifact, self.new_key())
        self._stored.append(copied.key)
        return copied

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

    async def drop(self, artifact: Artifact) -> None:
        """Remove one object that is not needed after all."""
        await self.store.delete(artifact.key)
        self._stored.remove(artifact.key)

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
    judge: Judge
    _held: bytearray = field(default_factory=bytearray)
    _writer: ObjectWriter | None = None

    @property
    def kind(self) -> FileKind:
        """What the file is for."""
        return self.judge.kind

    async def write(self, data: bytes) -> None:
        """Take more bytes; Problem as soon as they cannot be what they should."""
        metrics.UPLOADED_BYTES.labels(self.kind.value).inc(len(data))
        self.judge.feed(data)
        if self._writer is not None:
            await self._writer.write(data)
            return
        self._held += data
        if self.judge.media_type is not None:
            await self._begin(self.judge.media_type)

    async def finish(self) -> Artifact | None:
        """The stored file, or None if it is empty: browsers send that for no choice."""
        if self.judge.size == 0:
            return None
        media_type = self.judge.finish()
        writer = self._writer or await self._begin(media_type)
        return await self.uploads.finish(writer)

    async def _begin(self, media_type: str) -> ObjectWriter:
        self._writer = self.uploads.begin(media_type)
        await self._writer.write(bytes(self._held))
        self._held.clear()
        return self._writer
