"""What is done to jobs that there are: cancelled, tried again, forked, deleted."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.base import Contract, JsonNumber, Name, Plain
from contracts.events import (
    PROFILE_INPUTS,
    Event,
    Fork,
    JobCancelRequested,
    JobDeleted,
    JobRequested,
    JobRetryRequested,
    JobType,
    Quality,
)
from contracts.job import JobState, JobStatus, StageStatus
from fastapi import APIRouter, Response
from pydantic import Field

from gateway import idempotency
from gateway.context import Gateway, Owner, TheGateway
from gateway.idempotency import IdempotencyKey, keyed_id
from gateway.installation import capabilities
from gateway.jobs import consents, drafts
from gateway.jobs.drafts import JobDraft, Text
from gateway.jobs.routes import find
from gateway.jobs.submissions import enter, job_id
from gateway.jobs.views import StatusView, status_of
from gateway.live import LiveJob
from gateway.problems import Problem, ProblemKind
from gateway.uploads import uploading

router = APIRouter(prefix="/api", tags=["jobs"])


class ForkDraft(Contract):
    """How a new job differs from the one that it branches off from."""

    from_stage: Name = Field(
        alias="from",
        description="the first stage that is done anew; what does not follow from it is taken over",
    )
    name: Text | None = None
    prompt: Text | None = None
    script: Text | None = None
    topic: Text | None = None
    quality: Quality | None = None
    engines: dict[Name, Name] = Field(
        default_factory=dict, description="by stage kind; others stay as they were"
    )
    params: Annotated[dict[Name, dict[str, Any]], Plain] = Field(
        default_factory=dict, description="by stage kind; parameters not given stay as they were"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), JsonNumber] | None = None


@router.post("/jobs/{job}/cancel", status_code=202)
async def cancel_job(
    job: str, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> StatusView:
    """Stop a job. Repeating it changes nothing."""
    live = await current(gateway, job, owner)
    await idempotency.claim(gateway.config, owner, key, "cancel", job)
    if not await told(gateway, job, owner, key):
        if live.state.status.ended:
            raise Problem(
                ProblemKind.JOB_HAS_ENDED,
                f"The job has ended already: it is {live.state.status}.",
                "There is nothing to cancel.",
            )
        if not live.state.cancel_requested:
            await tell(gateway, job, owner, key, JobCancelRequested(by=owner))
    return status_of(live)


@router.post("/jobs/{job}/retry", status_code=202)
async def retry_job(
    job: str, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> StatusView:
    """Try a failed or cancelled job again from where it ended. Repeating it changes nothing."""
    live = await current(gateway, job, owner)
    await idempotency.claim(gateway.config, owner, key, "retry", job)
    if not await told(gateway, job, owner, key):
        if live.state.status is JobStatus.COMPLETED:
            raise Problem(
                ProblemKind.NOTHING_TO_RETRY,
                "The job is completed.",
                "Start a new job instead, or fork this one.",
            )
        if live.state.status.ended:
            await tell(gateway, job, owner, key, JobRetryRequested(by=owner))
    return status_of(live)


@router.delete("/jobs/{job}", status_code=204)
async def delete_job(job: str, gateway: TheGateway, owner: Owner) -> None:
    """Delete an ended job: it is shown no more, and what only it needs is erased soon after."""
    live = await current(gateway, job, owner)
    if live.state.status.ended:
        await gateway.live.reached(await gateway.log.tell(job, JobDeleted(by=owner)))
    # Somebody may have asked for a retry in the same moment.
    if not live.state.deleted:
        raise Problem(
            ProblemKind.JOB_IS_RUNNING,
            f"The job has not ended: it is {live.state.status}.",
            f"Cancel it first: POST /api/jobs/{job}/cancel.",
        )


@router.post("/jobs/{job}/fork", status_code=202)
async def fork_job(
    gateway: TheGateway,
    owner: Owner,
    response: Response,
    *,
    job: str,
    fork: ForkDraft,
    key: IdempotencyKey = None,
) -> StatusView:
    """Ask for a new job that differs from this one from a stage on, and takes over the rest."""
    parent = (await current(gateway, job, owner)).state
    request = parent.request
    if request is None:
        raise ValueError(f"job {job} has no request")
    _check_forkable(parent, fork.from_stage)
    draft = _draft(request, fork)
    limits = gateway.settings.limits
    drafts.check_texts(draft, limits)
    _check_words(request, fork)
    capabilities.check(draft, gateway.capabilities())
    async with uploading(gateway.store, limits, lambda: f"uploads/{gateway.new_id()}") as uploads:
        inputs = dict(request.inputs)
        for name, text in draft.texts().items():
            inputs[name] = (await uploads.text(text),)
        new = job_id(gateway, owner, key)
        event = JobRequested(
            type=request.type,
            owner=owner,
            profile=new if _trains_anew(parent, fork.from_stage) else request.profile,
            inputs=inputs,
            quality=draft.quality,
            engines=draft.engines,
            params=draft.params,
            graph=request.graph,
            seed=draft.seed,
            forked_from=Fork(job=job, stage=fork.from_stage),
        )
        consent = consents.taken_over(parent, owner)
        return await enter(gateway, uploads, response, new, event, consent=consent)


def _check_words(request: JobRequested, fork: ForkDraft) -> None:
    """Problem if the job could not make use of the words that the fork gives."""
    if request.type is JobType.TRAIN and (fork.script or fork.topic):
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            "A training takes no script.",
            "Leave out `script` and `topic`, or ask for a video.",
        )
    if (
        request.type is JobType.GENERATE
        and fork.topic
        and (fork.script or "script" in request.inputs)
    ):
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            "The job has a script of its own, so no topic is written about.",
            "Leave out `topic`, or start a new job with it.",
        )


def _draft(request: JobRequested, fork: ForkDraft) -> JobDraft:
    """The parent's request with the fork's changes. Texts are only those that change."""
    params = {
        kind: request.params.get(kind, {}) | fork.params.get(kind, {})
        for kind in {*request.params, *fork.params}
    }
    # What the parent was asked for fits its type already, and its texts are not at hand.
    return JobDraft.model_construct(
        type=request.type,
        profile_id=request.profile,
        name=fork.name,
        prompt=fork.prompt,
        script=fork.script,
        topic=fork.topic,
        quality=fork.quality or request.quality,
        engines=request.engines | fork.engines,
        params=params,
        graph=request.graph,
        seed=request.seed if fork.seed is None else fork.seed,
    )


def _trains_anew(parent: JobState, stage: str) -> bool:
    """Whether a fork makes a person of its own: the parent's stays one as long as it is the same.

    What an unfinished stage would have made is not known, so it may be a training.
    """
    request, graph = parent.request, parent.graph
    if request is None or graph is None or request.profile != parent.job:
        return False
    anew = [parent.stages[one] for one in (stage, *graph.descendants(stage))]
    return any(
        one.status is not StageStatus.COMPLETED or not one.outputs.keys().isdisjoint(PROFILE_INPUTS)
        for one in anew
    )


def _check_forkable(parent: JobState, stage: str) -> None:
    """Problem unless every stage that the fork takes over is completed."""
    if parent.graph is None or stage not in parent.stages:
        known = list(parent.graph.order()) if parent.graph else []
        raise Problem(
            ProblemKind.NO_SUCH_STAGE,
            f"The job has no stage {stage}"
            + (", as it is not planned yet." if parent.graph is None else "."),
            f"Name one of {', '.join(known)}." if known else "Wait until it is planned.",
            allowed=known,
        )
    anew = {stage, *parent.graph.descendants(stage)}
    lacking = [
        one.id
        for one in parent.stages.values()
        if one.id not in anew and one.status not in (StageStatus.COMPLETED, StageStatus.SKIPPED)
    ]
    if lacking:
        raise Problem(
            ProblemKind.NOT_FORKABLE,
            f"The fork would take over {', '.join(lacking)}, which the job has not completed.",
            "Wait for it, or fork from an earlier stage.",
            missing=lacking,
        )


async def current(gateway: Gateway, job: str, owner: str) -> LiveJob:
    """The job as the log has it now: what this gateway has read may be a moment behind.

    Otherwise a retry of a job that failed just now would pass for one of a job that runs.
    """
    live = await find(gateway, job, owner)
    latest = await gateway.log.fold(job, live.state)
    await gateway.live.reached(latest.sequence)
    return live


async def told(gateway: Gateway, job: str, owner: str, key: str | None) -> bool:
    """Whether the log has what an earlier request with this key told it."""
    if key is None:
        return False
    wanted = keyed_id(owner, key, "e")
    return any([recorded.id == wanted async for recorded in gateway.log.read_job(job)])


async def tell(gateway: Gateway, job: str, owner: str, key: str | None, event: Event) -> None:
    """Append what the owner wants, under an id that the key decides if there is one."""
    recorded = gateway.log.record(job, event)
    if key is not None:
        recorded = recorded._replace(id=keyed_id(owner, key, "e"))
    await gateway.live.reached(await gateway.log.offer(recorded))
