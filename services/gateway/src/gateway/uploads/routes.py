"""Uploads over HTTP: begun, sent in parts, taken up again, completed."""

from __future__ import annotations

from typing import Annotated, Literal

from contracts.base import Contract, Id, JsonNumber, Sha256, Timestamp
from eventlog.log import utc_now
from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from gateway import idempotency
from gateway.context import Gateway, Owner, TheGateway
from gateway.idempotency import IdempotencyKey
from gateway.jobs.routes import is_job_id
from gateway.uploads.judge import FileKind
from gateway.uploads.records import KEPT_S
from gateway.uploads.sessions import Session, Sessions
from gateway.uploads.stored import no_such_upload

router = APIRouter(prefix="/api/uploads", tags=["uploads"])


class UploadDraft(Contract):
    """A file that is about to be sent."""

    kind: FileKind
    size: Annotated[int, Field(ge=1, lt=2**53, description="bytes"), JsonNumber]
    sha256: Sha256


class PartView(Contract):
    """One part of an upload."""

    number: int = Field(description="from 1")
    size: int = Field(description="bytes; all parts but the last are of the same size")
    done: bool = Field(description="whether it has arrived")
    url: str = Field(description="where to PUT its bytes; it may lead to the store itself")


class UploadView(Contract):
    """An upload as it stands."""

    upload_id: Id
    kind: FileKind
    state: Literal["waiting", "complete"]
    size: int = Field(description="bytes")
    sha256: Sha256
    part_bytes: int
    parts: tuple[PartView, ...]
    duplicate: bool = Field(description="whether nothing has to be sent, as it is there already")
    expires_at: Timestamp = Field(description="when it is erased unless a job has used it")


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    responses={200: {"model": UploadView, "description": "It is there already, or begun"}},
)
async def begin_upload(
    draft: UploadDraft,
    response: Response,
    gateway: TheGateway,
    owner: Owner,
    key: IdempotencyKey = None,
) -> UploadView:
    """Begin an upload, or find what has arrived of the same file.

    A file that the owner has sent before, in an upload or with a job, need not be sent again.
    """
    await idempotency.claim(gateway.config, owner, key, "upload", draft.model_dump_json())
    sessions = Sessions(gateway, owner)
    session = await sessions.begin(draft.kind, draft.size, draft.sha256)
    response.status_code = 201 if session.fresh else 200
    response.headers["Location"] = f"/api/uploads/{session.upload}"
    return await _view(gateway, sessions, session)


@router.get("/{upload}", summary="What has arrived of an upload")
async def get_upload(upload: str, gateway: TheGateway, owner: Owner) -> UploadView:
    """What has arrived of an upload, so that only the rest has to be sent."""
    sessions = Sessions(gateway, owner)
    return await _view(gateway, sessions, await sessions.get(_checked(upload)))


@router.put(
    "/{upload}/parts/{number}",
    status_code=204,
    summary="Send one part",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def put_part(
    request: Request,
    gateway: TheGateway,
    owner: Owner,
    upload: str,
    number: Annotated[int, Path(ge=1, le=10_000)],
) -> None:
    """Send the bytes of one part, in any order; sending one again does no harm."""
    sessions = Sessions(gateway, owner)
    await sessions.put(await sessions.get(_checked(upload)), number, request.stream())


@router.post("/{upload}/complete", summary="Complete an upload")
async def complete_upload(
    upload: str, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> UploadView:
    """Check that all parts have arrived and are the file that was announced.

    Its size, its SHA-256, its kind and, of a picture, its pixels are looked at. What is not as
    it should be is removed, and the upload with it.
    """
    await idempotency.claim(gateway.config, owner, key, "complete", upload)
    sessions = Sessions(gateway, owner)
    session = await sessions.complete(await sessions.get(_checked(upload)))
    return await _view(gateway, sessions, session)


@router.delete("/{upload}", status_code=204, summary="Give an upload up")
async def delete_upload(upload: str, gateway: TheGateway, owner: Owner) -> None:
    """Remove an upload and what has arrived of it. Jobs that used it keep their own copy."""
    sessions = Sessions(gateway, owner)
    await sessions.remove(await sessions.get(_checked(upload)))


def _checked(upload: str) -> str:
    """The id, if it can be one: it becomes part of a subject."""
    if not is_job_id(upload):
        raise no_such_upload()
    return upload


async def _view(gateway: Gateway, sessions: Sessions, session: Session) -> UploadView:
    record = session.record
    done = await sessions.done(session)
    return UploadView(
        upload_id=session.upload,
        kind=record.kind,
        state="complete" if record.complete else "waiting",
        size=record.size,
        sha256=record.sha256,
        part_bytes=record.part_bytes,
        parts=tuple(
            [
                PartView(
                    number=part.number,
                    size=part.size,
                    done=part.number in done,
                    url=await _part_url(gateway, session, part.number),
                )
                for part in record.parts()
            ]
        ),
        duplicate=session.duplicate,
        expires_at=record.expires_at,
    )


async def _part_url(gateway: Gateway, session: Session, number: int) -> str:
    record = session.record
    if gateway.public_store is None or record.multipart is None:
        return f"/api/uploads/{session.upload}/parts/{number}"
    return await gateway.public_store.presign(
        "upload_part",
        min(record.seconds_left(utc_now()), KEPT_S),
        Key=record.key,
        UploadId=record.multipart,
        PartNumber=number,
    )
