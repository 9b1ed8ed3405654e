"""Downloads of what stages made, streamed from the store, whole or in ranges (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from contracts.artifacts import Artifact
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from servicekit.objects import MissingObjectError, ObjectStore

from gateway.context import Owner, TheGateway
from gateway.jobs import find
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api", tags=["artifacts"])

_PATH = "/jobs/{job}/artifacts/{stage}/{output}/{index}"
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
_EXTENSIONS = {
    "video/mp4": "mp4",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
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


def parse_range(header: str, size: int) -> Span | None:
    """The one range that a `Range` header asks for, cut to the object's size.

    None where the header is to be ignored: another unit, several ranges, or nonsense.
    Raises Problem (416) if the range lies wholly outside.
    """
    match = _RANGE.match(header.strip())
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


@router.head(_PATH, include_in_schema=False)
@router.get(_PATH)
async def get_artifact(
    request: Request,
    gateway: TheGateway,
    owner: Owner,
    *,
    job: str,
    stage: str,
    output: str,
    index: int,
    download: Annotated[bool, Query(description="offer to save it instead of showing it")] = False,
    byte_range: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The bytes of one result of a stage."""
    live = await find(gateway, job, owner)
    made = live.state.stages.get(stage)
    artifacts = made.outputs.get(output, ()) if made else ()
    if not 0 <= index < len(artifacts):
        raise Problem(
            ProblemKind.NO_SUCH_ARTIFACT,
            "The job has no such artifact, or not yet.",
            f"GET /api/jobs/{job} lists the artifacts there are.",
        )
    artifact = artifacts[index]
    etag = f'"{artifact.sha256}"'
    disposition = "attachment" if download else "inline"
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'{disposition}; filename="{file_name(artifact, job, output)}"',
        "Content-Security-Policy": _POLICY,
    }
    if if_none_match is not None and etag in (tag.strip() for tag in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    span = None
    if byte_range is not None and if_range in (None, etag):
        span = parse_range(byte_range, artifact.size)
    status = 200
    headers["Content-Length"] = str(artifact.size)
    if span is not None:
        status = 206
        headers["Content-Length"] = str(span.length)
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{artifact.size}"
    if request.method == "HEAD" or artifact.size == 0:
        return Response(status_code=status, headers=headers, media_type=artifact.media_type)
    body = await _opened(gateway.store, artifact, span)
    return StreamingResponse(body, status, headers, media_type=artifact.media_type)


def file_name(artifact: Artifact, job: str, output: str) -> str:
    """A name to save it under: short, and free of anything personal."""
    _, dot, extension = artifact.key.rpartition("/")[2].rpartition(".")
    if not dot:
        extension = _EXTENSIONS.get(artifact.media_type, "bin")
    return f"{output}-{job[-8:]}.{extension}"


async def _opened(
    store: ObjectStore, artifact: Artifact, span: Span | None
) -> AsyncIterator[bytes]:
    """The object's chunks, the first of them fetched, so that an absent object is told in time."""
    chunks = store.read(artifact.key, f"bytes={span.first}-{span.last}" if span else None)
    try:
        first = await anext(chunks)
    except MissingObjectError:
        raise Problem(
            ProblemKind.ARTIFACT_ERASED,
            "The artifact was erased from the store.",
            "Make it again with a new job.",
        ) from None

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return rest()
