"""Sends objects of the store as HTTP wants them: whole or in ranges, or not again (RFC 9110)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated

import structlog
from contracts.artifacts import Artifact
from fastapi import Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from servicekit.objects import MissingObjectError, ObjectStore, ObjectStoreError
from starlette.types import Message, Receive, Scope, Send

from gateway import metrics
from gateway.edge.connections import abort
from gateway.problems import Problem, ProblemKind

log = structlog.get_logger(__name__)

STALLED_S = 60.0
CACHING = "private, max-age=31536000, immutable"
"""What lies at an address of an object never changes, and is nobody else's business."""

# No object has a size of more digits, and Python converts no number of thousands of them.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_EXTENSIONS = {
    "video/mp4": "mp4",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/avif": "avif",
    "text/vtt": "vtt",
    "text/plain": "txt",
    "application/json": "json",
    "application/zip": "zip",
    "application/x-subrip": "srt",
}
# Whatever a stage has made of strangers' bytes must not run as a page of this site.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; sandbox"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an object: bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a client wants an object."""

    download: bool
    byte_range: str | None
    if_range: str | None
    if_none_match: str | None


async def _wanted(
    download: Annotated[bool, Query(description="offer to save it instead of showing it")] = False,
    byte_range: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Wanted:
    return Wanted(download, byte_range, if_range, if_none_match)


TheWanted = Annotated[Wanted, Depends(_wanted)]


def parse_range(header: str, size: int) -> Span | None:
    """The one range that a `Range` header asks for, cut to the object's size.

    None where the header is to be ignored: another unit, several ranges, or nonsense.
    Raises Problem (416) if the range lies wholly outside.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        span = Span(max(size - int(last), 0), size - 1)
    else:
        span = Span(int(first), min(int(last), size - 1) if last else size - 1)
        if last and int(last) < int(first):
            return None
    if span.first >= size or (first == "" and int(last) == 0):
        raise Problem(
            ProblemKind.RANGE_NOT_SATISFIABLE,
            f"The artifact has {size} bytes.",
            "Ask for a range within it.",
            {"Content-Range": f"bytes */{size}"},
        )
    return span


async def send(
    request: Request,
    store: ObjectStore,
    artifact: Artifact,
    name: str,
    wanted: Wanted,
    *,
    place: AbstractAsyncContextManager[None],
) -> Response:
    """The object as the client wants it. `name` is what to save it as, without extension.

    `place` is held while bytes are on their way.
    """
    etag = f'"{artifact.sha256}"'
    disposition = "attachment" if wanted.download else "inline"
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHING,
        "Content-Disposition": f'{disposition}; filename="{name}.{extension(artifact)}"',
        "Content-Security-Policy": _POLICY,
    }
    if known(etag, wanted.if_none_match):
        return Response(status_code=304, headers=headers)
    span = None
    if wanted.byte_range is not None and wanted.if_range in (None, etag):
        span = parse_range(wanted.byte_range, artifact.size)
    status = 200
    headers["Content-Length"] = str(artifact.size)
    if span is not None:
        status = 206
        headers["Content-Length"] = str(span.length)
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{artifact.size}"
    if request.method == "HEAD" or artifact.size == 0:
        return Response(status_code=status, headers=headers, media_type=artifact.media_type)
    return _Sent(store, artifact, span, place, status=status, headers=headers)


def known(etag: str, if_none_match: str | None) -> bool:
    """Whether a client says that it has this already, by weak comparison (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags


def extension(artifact: Artifact) -> str:
    """How the name of a file with this content ends."""
    _, dot, own = artifact.key.rpartition("/")[2].rpartition(".")
    return own if dot else _EXTENSIONS.get(artifact.media_type, "bin")


def erased() -> Problem:
    """The problem of an object that is not in the store any more."""
    return Problem(
        ProblemKind.ARTIFACT_ERASED,
        "The artifact was erased from the store.",
        "Make it again with a new job.",
    )


class _Sent(StreamingResponse):
    """An object on its way. A client that takes nothing is let go: it would keep others out.

    Players do so when they pause, and go on with a range.
    """

    def __init__(
        self,
        store: ObjectStore,
        artifact: Artifact,
        span: Span | None,
        place: AbstractAsyncContextManager[None],
        *,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__((), status, headers, media_type=artifact.media_type)
        self._chunks = store.read(artifact.key, f"bytes={span.first}-{span.last}" if span else None)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client. Problem if there is no place for it, or the object was erased."""

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(STALLED_S):
                    await send(message)
            except TimeoutError:
                metrics.STALLED.labels("download").inc()
                abort(scope)

        async with self._place, contextlib.aclosing(self._chunks):
            try:
                first = await anext(self._chunks)
            except MissingObjectError:
                raise erased() from None
            self.body_iterator = self._all(first, scope)
            await super().__call__(scope, receive, patient)

    async def _all(self, first: bytes, scope: Scope) -> AsyncIterator[bytes]:
        yield first
        try:
            async for chunk in self._chunks:
                yield chunk
        except ObjectStoreError as error:
            # What has been promised cannot be kept, and only the end of the connection says so.
            log.warning("download.broken", detail=str(error))
            abort(scope)


BYTES: Mapping[int | str, dict[str, object]] = {
    200: {
        "description": "All of it",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "The range that was asked for",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The client has it already"},
}
"""What a route that sends an object answers."""
