"""Jobs asked for over HTTP: files and drafts taken in, checked, and entered into the log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from contracts.artifacts import Artifacts
from contracts.events import ConsentGiven, JobRequested, JobType
from eventlog.errors import ConflictError, UnavailableError
from eventlog.log import utc_now
from fastapi import APIRouter, Depends, Request, Response
from servicekit.failpoints import Failpoint, reached
from servicekit.objects import MissingObjectError

from gateway import idempotency, metrics, openapi
from gateway.context import Gateway, Owner, TheGateway
from gateway.idempotency import IdempotencyKey, keyed_id
from gateway.installation import capabilities
from gateway.jobs import consents, drafts, filenames, forms
from gateway.jobs.forms import Received
from gateway.jobs.routes import no_such_job
from gateway.jobs.views import StatusView, status_of
from gateway.live import LiveJob
from gateway.pipelines import routes as pipelines
from gateway.profiles import trained
from gateway.uploads import FileKind, Uploads, uploading
from gateway.uploads.quota import check_quota
from gateway.uploads.sessions import Sessions
from gateway.uploads.stored import no_such_upload

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/api", tags=["jobs"])


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a job, whose body is still to be read."""

    request: Request
    response: Response
    gateway: Gateway
    owner: str
    key: str | None


async def _asked(
    request: Request,
    response: Response,
    gateway: TheGateway,
    owner: Owner,
    key: IdempotencyKey = None,
) -> _Asked:
    return _Asked(request, response, gateway, owner, key)


Asked = Annotated[_Asked, Depends(_asked)]


@router.post("/train", status_code=202, openapi_extra=openapi.TRAIN)
async def train(asked: Asked) -> StatusView:
    """Learn a person's face from photos, and their voice from a recording."""
    return await _submit(asked, JobType.TRAIN)


@router.post("/generate", status_code=202, openapi_extra=openapi.GENERATE)
async def generate(asked: Asked) -> StatusView:
    """Make a talking video, from a profile or from photos that are trained on first."""
    return await _submit(asked, JobType.GENERATE)


@router.post("/jobs", status_code=202, openapi_extra=openapi.JOBS)
async def create_job(asked: Asked) -> StatusView:
    """Ask for a job of any type."""
    return await _submit(asked, None)


async def _submit(asked: _Asked, job_type: JobType | None) -> StatusView:
    """Take a job's request in and tell the log of it."""
    gateway, owner = asked.gateway, asked.owner
    async with uploading(
        gateway.store, gateway.settings.limits, lambda: f"uploads/{gateway.new_id()}"
    ) as uploads:
        await check_quota(gateway, owner, 0)
        received = await forms.receive(asked.request, uploads, job_type)
        draft = await pipelines.resolved(gateway, owner, received.draft)
        await _take_uploads(gateway, owner, uploads, received)
        await _keep_distinct(uploads, received)
        drafts.check(draft, len(received.photos), received.sounds, gateway.settings.limits)
        capabilities.check(draft, gateway.capabilities())
        lent = await trained.lent_by(gateway, draft.profile_id, owner)
        inputs: Artifacts = dict(lent.inputs)
        if received.photos:
            inputs["photos"] = tuple(received.photos)
        inputs |= {name: (sound,) for name, sound in received.sounds.items()}
        drafts.check_inputs(draft, {*inputs, *draft.texts()})
        brought = sum(artifact.size for artifact in received.files())
        await check_quota(gateway, owner, brought)
        consent = await consents.given(
            uploads, draft.consent, lent.trained_by, inputs, by=owner, now=utc_now()
        )
        await reached(Failpoint.GATEWAY_BEFORE_STORE)
        for name, text in draft.texts().items():
            inputs[name] = (await uploads.text(text),)
        if any(received.names):
            names = filenames.packed(received.names)
            inputs[filenames.INPUT] = (await uploads.text(names),)
        job = job_id(gateway, owner, asked.key)
        trains = draft.type is not JobType.PIPELINE and draft.profile_id is None
        event = JobRequested(
            type=draft.type,
            owner=owner,
            profile=job if trains else draft.profile_id,
            inputs=inputs,
            quality=draft.quality,
            engines=draft.engines,
            params=draft.params,
            graph=draft.graph,
            seed=draft.seed,
        )
        return await enter(gateway, uploads, asked.response, job, event, consent=consent)


async def _take_uploads(gateway: Gateway, owner: str, uploads: Uploads, received: Received) -> None:
    """Add copies of the uploads that the draft names to what the request brought."""
    wanted = received.draft.uploads
    limit = gateway.settings.limits.photos
    if len(wanted.photos) > limit:
        raise forms.too_many_photos(limit)
    sessions = Sessions(gateway, owner)
    photos = [await sessions.take(upload, FileKind.PHOTO) for upload in wanted.photos]
    sounds = {
        kind.value: await sessions.take(upload, kind)
        for kind, upload in ((FileKind.CLIP, wanted.clip), (FileKind.MUSIC, wanted.music))
        if upload
    }
    try:
        received.photos += [await uploads.copy(photo) for photo in photos]
        received.names += wanted.photo_names or [""] * len(photos)
        for name, sound in sounds.items():
            received.sounds[name] = await uploads.copy(sound)
    except MissingObjectError:
        raise no_such_upload() from None


async def _keep_distinct(uploads: Uploads, received: Received) -> None:
    """Keep a photo that came several times once: it must not weigh more than the others."""
    kept = {photo.sha256: photo for photo in reversed(received.photos)}
    for photo in received.photos:
        if kept[photo.sha256] is not photo:
            await uploads.drop(photo)
    named = list(zip(received.photos, received.names, strict=True))
    received.names = [name for photo, name in named if kept[photo.sha256] is photo]
    received.photos = [photo for photo in received.photos if kept[photo.sha256] is photo]


def job_id(gateway: Gateway, owner: str, key: str | None) -> str:
    """The id of the job that an owner asks for, the same whenever the key is the same."""
    return keyed_id(owner, key) if key else gateway.new_id()


async def enter(
    gateway: Gateway,
    uploads: Uploads,
    response: Response,
    job: str,
    event: JobRequested,
    *,
    consent: ConsentGiven | None,
) -> StatusView:
    """Append the job's request with its consent, once for each id, and tell how the job stands."""
    events = (event, consent) if consent else (event,)
    try:
        recorded = [gateway.log.record(job, one) for one in events]
        await reached(Failpoint.GATEWAY_BEFORE_APPEND)
        sequence = await gateway.log.append(recorded, expected=0)
    except (UnavailableError, asyncio.CancelledError):
        # It may have entered the log all the same, and then it needs its files.
        uploads.keep()
        raise
    except ConflictError:
        earlier = await gateway.log.fold(job)
        if earlier.request is None or (
            _essence(earlier.request, earlier.consent) != _essence(event, consent)
        ):
            raise idempotency.reused() from None
        if earlier.deleted:
            raise no_such_job() from None
    else:
        await reached(Failpoint.GATEWAY_AFTER_APPEND)
        uploads.keep()
        metrics.JOBS.labels(event.type.value).inc()
        log.info("job.requested", job=job, type=event.type.value, sequence=sequence)
        await gateway.live.reached(sequence)
    response.headers["Location"] = f"/api/jobs/{job}"
    # The table of live jobs may lag behind, if the broker was away just now.
    return status_of(gateway.live.peek(job) or LiveJob(await gateway.log.fold(job)))


def _essence(event: JobRequested, consent: ConsentGiven | None) -> dict[str, Any]:
    """What makes two requests the same: everything but what their files are called, here or there.

    A program may give its files new names each time that it sends them.
    """
    inputs = {
        name: [artifact.sha256 for artifact in artifacts]
        for name, artifacts in event.inputs.items()
        if name != filenames.INPUT
    }
    said = consent.statement.sha256 if consent else None
    return event.model_dump(exclude={"inputs"}) | {"inputs": inputs, "consent": said}
