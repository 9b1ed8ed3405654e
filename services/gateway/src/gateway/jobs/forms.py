"""Takes a job's request in, as a multipart form with files or as plain JSON."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.artifacts import Artifact
from contracts.events import JobType
from fastapi import Request
from pydantic import ValidationError

from gateway.edge.bodies import JSON_BYTES
from gateway.jobs import filenames
from gateway.jobs.drafts import JobDraft
from gateway.jobs.multipart import (
    MalformedFormError,
    MultipartReader,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)
from gateway.problems import Problem, ProblemKind, of_validation
from gateway.settings import Limits
from gateway.uploads import FileKind, IncomingFile, Uploads

_TEXTS = ("name", "prompt", "profileId", "pipeline", "quality", "seed")
_SOUNDS = {
    "voice": (FileKind.CLIP, "voice clip"),
    "music": (FileKind.MUSIC, "music"),
}
_NOT_OF_TRAINING = ("profileId", "pipeline", "graph", "music")
_JSONS = ("engines", "params", "graph", "consent")
_SEED = re.compile(r"[0-9]{1,19}")
# UTF-8 takes at most four bytes for a character; escapes in JSON take more than they mean.
_BYTES_PER_CHAR = 4


@dataclass(slots=True)
class Received:
    """What a request brought: its draft, and its files in the store.

    `names` has the name of each photo, empty where it is not known. `sounds` has the recording of
    the voice as `clip` and what plays under the speech as `music`, where they came.
    """

    draft: JobDraft
    photos: list[Artifact] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sounds: dict[str, Artifact] = field(default_factory=dict)

    def files(self) -> tuple[Artifact, ...]:
        """All files."""
        return (*self.photos, *self.sounds.values())


async def receive(request: Request, uploads: Uploads, job_type: JobType | None) -> Received:
    """Read the request's body.

    `job_type` is None where the body itself tells the type. Raises Problem.
    """
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > uploads.limits.body_bytes:
        raise _too_large("The request", uploads.limits.body_bytes)
    if media_type == "multipart/form-data":
        return await _Form(uploads, job_type).read(request.stream(), content_type)
    if media_type == "application/json":
        values = _parsed(await _collected(request.stream(), JSON_BYTES), "the body")
        if not isinstance(values, dict):
            raise _malformed("the body is not a JSON object")
        return Received(_draft(values, job_type))
    raise Problem(
        ProblemKind.WRONG_CONTENT_TYPE,
        f"The body is {media_type or 'of no declared kind'}.",
        "Send multipart/form-data with files, or application/json without.",
        {"Accept-Post": "multipart/form-data, application/json"},
    )


@dataclass(slots=True)
class _Form:
    """A form while it is read: one part at a time is open, either a file or a text."""

    uploads: Uploads
    job_type: JobType | None
    values: dict[str, bytes] = field(default_factory=dict)
    photos: list[Artifact] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sounds: dict[str, Artifact] = field(default_factory=dict)
    name: str = ""
    filename: str = ""
    file: IncomingFile | None = None
    text: bytearray = field(default_factory=bytearray)

    async def read(self, stream: AsyncIterator[bytes], content_type: str) -> Received:
        try:
            reader = MultipartReader(boundary_of(content_type))
            async for chunk in stream:
                for event in reader.feed(chunk):
                    match event:
                        case PartBegin():
                            self._begin(event)
                        case PartData():
                            await self._take(event.data)
                        case PartEnd():
                            await self._end()
            reader.finish()
        except MalformedFormError as error:
            raise _malformed(str(error)) from error
        draft = _draft(self._decoded(), self.job_type)
        return Received(draft, self.photos, self.names, self.sounds)

    def _fields(self) -> tuple[str, ...]:
        fields: tuple[str, ...] = ("image", *_SOUNDS, *_TEXTS, *_JSONS)
        if self.job_type is not JobType.TRAIN:
            fields += ("script", "topic")
        else:
            fields = tuple(name for name in fields if name not in _NOT_OF_TRAINING)
        return fields if self.job_type else ("type", *fields)

    def _begin(self, part: PartBegin) -> None:
        self.name, self.filename = part.name, filenames.plain(part.filename or "")
        if part.name not in self._fields():
            raise Problem(
                ProblemKind.UNKNOWN_FIELD,
                f"The form has a field {part.name!r}, which is not known here.",
                f"Leave it out. Known fields: {', '.join(self._fields())}.",
                field=part.name,
                allowed=list(self._fields()),
            )
        if part.name == "image":
            most = self.uploads.limits.photos
            if len(self.photos) == most:
                raise too_many_photos(most)
            self.file = self.uploads.file(FileKind.PHOTO, f"photo {len(self.photos) + 1}")
        elif part.name in _SOUNDS:
            kind, label = _SOUNDS[part.name]
            if kind.value in self.sounds:
                raise _repeated(part.name)
            self.file = self.uploads.file(kind, label)
        elif part.name in self.values:
            raise _repeated(part.name)

    async def _take(self, data: bytes) -> None:
        if self.file is not None:
            await self.file.write(data)
            return
        self.text += data
        most = JSON_BYTES if self.name in _JSONS else _text_bytes(self.uploads.limits)
        if len(self.text) > most:
            raise _too_large(f"The field {self.name}", most)

    async def _end(self) -> None:
        if self.file is None:
            self.values[self.name] = bytes(self.text)
            self.text.clear()
            return
        artifact = await self.file.finish()
        if artifact is not None and self.file.kind is FileKind.PHOTO:
            self.photos.append(artifact)
            self.names.append(self.filename)
        elif artifact is not None:
            self.sounds[self.file.kind.value] = artifact
        self.file = None

    def _decoded(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, data in self.values.items():
            if name in _JSONS:
                values[name] = _parsed(data, f"the field {name}")
                continue
            try:
                values[name] = data.decode()
            except UnicodeDecodeError as error:
                raise _malformed(f"the field {name} is not UTF-8 text") from error
        if _SEED.fullmatch(values.get("seed", "")):
            values["seed"] = int(values["seed"])
        return {name: value for name, value in values.items() if value != ""}


def too_many_photos(most: int) -> Problem:
    """The problem of more photos than one request may bring."""
    return Problem(
        ProblemKind.TOO_MANY_PHOTOS,
        f"There are more than {most} photos.",
        "Choose the best ones: sharp, well lit, of different angles.",
        limit=most,
    )


def _text_bytes(limits: Limits) -> int:
    return _BYTES_PER_CHAR * max(limits.script_chars, limits.prompt_chars, limits.name_chars)


def _draft(values: Mapping[str, Any], job_type: JobType | None) -> JobDraft:
    given = dict(values)
    if job_type is not None:
        if "type" in given and given["type"] != job_type.value:
            raise Problem(
                ProblemKind.INVALID_REQUEST,
                f"This address makes jobs of type {job_type.value} only.",
                "Leave out `type`, or send the request to /api/jobs.",
            )
        given["type"] = job_type.value
    try:
        return JobDraft.model_validate(given)
    except ValidationError as error:
        raise of_validation(error.errors()) from error


async def _collected(stream: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > most:
            raise _too_large("The JSON body", most)
    return bytes(body)


def _parsed(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{what} is not JSON, or nested too deeply") from error


def _malformed(detail: str) -> Problem:
    return Problem(
        ProblemKind.MALFORMED_BODY,
        f"{detail[0].upper()}{detail[1:]}.",
        "Send a complete, well-formed body; see /docs for its fields.",
    )


def _repeated(name: str) -> Problem:
    return Problem(
        ProblemKind.INVALID_REQUEST,
        f"The field {name} is there more than once.",
        "Send it once.",
        field=name,
    )


def _too_large(what: str, most: int) -> Problem:
    return Problem(
        ProblemKind.UPLOAD_TOO_LARGE,
        f"{what} is larger than {most:,} bytes.",
        "Send less, or fewer and smaller files.",
        limit=most,
    )
