"""Jobs over HTTP: asked for, listed, looked at, cancelled, tried again."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import structlog
from contracts.artifacts import Artifacts
from contracts.base import Id
from contracts.events import JobCancelRequested, JobRequested, JobRetryRequested, JobType
from contracts.job import JobStatus
from contracts.queries import GetProfile, JobPage, ListJobs, Profile
from eventlog.errors import ConflictError, UnavailableError
from eventlog.log import utc_now
from eventlog.rpc import NotFoundError, ask
from fastapi import APIRouter, Header, Query, Request

from gateway import capabilities, drafts, forms, metrics, openapi
from gateway.context import Gateway, Owner, TheGateway
from gateway.live import LiveJob
from gateway.problems import Problem, ProblemKind
from gateway.uploads import Uploads, uploading
from gateway.views import JobList, JobView, StatusView, item_of, job_of, status_of

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/api", tags=["jobs"])

_OF_PROFILE = ("lora", "voice", "faces")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEY = r"^[\x21-\x7e]{1,255}$"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=_KEY,
        description="the same key makes the same job once, however often the request is sent",
    ),
]


@router.post("/train", status_code=202, openapi_extra=openapi.TRAIN)
async def train(
    request: Request, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> StatusView:
    """Learn a person's face from photos, and their voice from a recording."""
    return await _submit(request, gateway, owner, key, JobType.TRAIN)


@router.post("/generate", status_code=202, openapi_extra=openapi.GENERATE)
async def generate(
    request: Request, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> StatusView:
    """Make a talking video, from a profile or from photos that are trained on first."""
    return await _submit(request, gateway, owner, key, JobType.GENERATE)


@router.post("/jobs", status_code=202, openapi_extra=openapi.JOBS)
async def create_job(
    request: Request, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> StatusView:
    """Ask for a job of any type."""
    return await _submit(request, gateway, owner, key, None)


@router.get("/jobs")
async def list_jobs(
    gateway: TheGateway,
    owner: Owner,
    *,
    status: JobStatus | None = None,
    job_type: Annotated[JobType | None, Query(alias="type")] = None,
    profile: Id | None = None,
    before: Annotated[Id | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobList:
    """Jobs, newest first."""
    query = ListJobs(
        owner=owner,
        statuses=(status,) if status else (),
        type=job_type,
        profile=profile,
        before=before,
        limit=limit,
        min_position=gateway.live.position,
    )
    try:
        page, _ = await ask(gateway.broker, query, JobPage)
    except NotFoundError:
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            "`before` names no job.",
            "Take it from `next` of an earlier page, or leave it out.",
        ) from None
    names = await gateway.names.of_jobs((summary.job for summary in page.jobs), owner)
    return JobList(
        jobs=tuple(
            item_of(summary, gateway.live.peek(summary.job), names[summary.job])
            for summary in page.jobs
        ),
        next=page.next_before,
    )


@router.get("/jobs/{job}")
async def get_job(job: str, gateway: TheGateway, owner: Owner) -> JobView:
    """A job with its stages, their progress, measures, failures and results."""
    live = await find(gateway, job, owner)
    return job_of(live, await gateway.names.of(live), utc_now())


@router.get("/status/{job}", responses=openapi.STATUS_RESPONSES)
async def get_status(job: str, gateway: TheGateway, owner: Owner) -> StatusView:
    """How a job stands, in short."""
    try:
        return status_of(await find(gateway, job, owner))
    except Problem as problem:
        if problem.kind is ProblemKind.NO_SUCH_JOB:
            # Clients of this route look for the word.
            problem.members |= {"status": "not_found", "jobId": job}
        raise


@router.post("/jobs/{job}/cancel", status_code=202)
async def cancel_job(job: str, gateway: TheGateway, owner: Owner) -> StatusView:
    """Stop a job. Repeating it changes nothing."""
    live = await find(gateway, job, owner)
    if live.state.status.ended:
        raise Problem(
            ProblemKind.JOB_HAS_ENDED,
            f"The job has ended already: it is {live.state.status}.",
            "There is nothing to cancel.",
        )
    if not live.state.cancel_requested:
        await gateway.live.reached(await gateway.log.tell(job, JobCancelRequested(by=owner)))
    return status_of(live)


@router.post("/jobs/{job}/retry", status_code=202)
async def retry_job(job: str, gateway: TheGateway, owner: Owner) -> StatusView:
    """Try a failed or cancelled job again from where it ended. Repeating it changes nothing."""
    live = await find(gateway, job, owner)
    if live.state.status is JobStatus.COMPLETED:
        raise Problem(
            ProblemKind.NOTHING_TO_RETRY,
            "The job is completed.",
            "Start a new job instead.",
        )
    if live.state.status.ended:
        await gateway.live.reached(await gateway.log.tell(job, JobRetryRequested(by=owner)))
    return status_of(live)


def is_job_id(text: str) -> bool:
    """Whether this could be the id of a job."""
    return _ID.fullmatch(text) is not None


async def find(gateway: Gateway, job: str, owner: str) -> LiveJob:
    """The owner's job; Problem if there is none."""
    try:
        if is_job_id(job):
            return await gateway.live.find(job, owner)
    except NotFoundError:
        pass
    raise Problem(
        ProblemKind.NO_SUCH_JOB,
        "No job of yours has this id.",
        "GET /api/jobs lists your jobs.",
    )


async def _submit(
    request: Request, gateway: Gateway, owner: str, key: str | None, job_type: JobType | None
) -> StatusView:
    """Take a job's request in and tell the log of it."""
    async with uploading(
        gateway.store, gateway.settings.limits, lambda: f"uploads/{gateway.new_id()}"
    ) as uploads:
        received = await forms.receive(request, uploads, job_type)
        draft = received.draft
        clip = received.clip is not None
        drafts.check(draft, len(received.photos), clip, gateway.settings.limits)
        capabilities.check(draft, gateway.capabilities())
        inputs: Artifacts = await _profile_inputs(gateway, owner, draft.profile_id)
        if received.photos:
            inputs["photos"] = tuple(received.photos)
        if received.clip:
            inputs["clip"] = (received.clip,)
        drafts.check_inputs(draft, {*inputs, *draft.texts()})
        for name, text in draft.texts().items():
            inputs[name] = (await uploads.text(text),)
        job = _job_id(owner, key) if key else gateway.new_id()
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
        await _enter(gateway, uploads, job, event)
    return status_of(await find(gateway, job, owner))


async def _enter(gateway: Gateway, uploads: Uploads, job: str, event: JobRequested) -> None:
    """Append the job's first event, once for each id."""
    try:
        sequence = await gateway.log.append([gateway.log.record(job, event)], expected=0)
    except UnavailableError:
        # It may have entered the log all the same, and then it needs its files.
        uploads.keep()
        raise
    except ConflictError:
        earlier = (await gateway.log.fold(job)).request
        if earlier is None or _essence(earlier) != _essence(event):
            raise Problem(
                ProblemKind.KEY_REUSED,
                "This Idempotency-Key was sent before, with another request.",
                "Use a new key for a new request.",
            ) from None
        return
    uploads.keep()
    metrics.JOBS.labels(event.type.value).inc()
    log.info("job.requested", job=job, type=event.type.value, sequence=sequence)
    await gateway.live.reached(sequence)


def _job_id(owner: str, key: str) -> str:
    """The id of the job that an owner asks for under an idempotency key."""
    return "k" + hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()[:31]


def _essence(event: JobRequested) -> dict[str, Any]:
    """What makes two requests the same: everything but where copies of their files lie."""
    inputs = {
        name: [artifact.sha256 for artifact in artifacts]
        for name, artifacts in event.inputs.items()
    }
    return event.model_dump(exclude={"inputs"}) | {"inputs": inputs}


async def _profile_inputs(gateway: Gateway, owner: str, profile: str | None) -> Artifacts:
    if profile is None:
        return {}
    query = GetProfile(owner=owner, profile=profile, min_position=gateway.live.position)
    try:
        found, _ = await ask(gateway.broker, query, Profile)
    except NotFoundError:
        raise Problem(
            ProblemKind.NO_SUCH_PROFILE,
            "No profile of yours has this id.",
            "GET /api/profiles lists your profiles.",
        ) from None
    wanted = {name: found.artifacts[name] for name in _OF_PROFILE if name in found.artifacts}
    if "lora" not in wanted or "faces" not in wanted:
        raise Problem(
            ProblemKind.PROFILE_NOT_READY,
            "The profile's training has not made a LoRA yet.",
            f"Wait for job {found.created_by}, or retry it if it failed.",
            job=found.created_by,
        )
    return wanted
