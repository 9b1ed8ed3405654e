"""Profiles over HTTP: what trainings have made, ready to speak."""

from __future__ import annotations

import asyncio
from typing import Annotated

from contracts.base import Contract, Id, Timestamp
from contracts.events import ProfileErased
from contracts.queries import JobPage, JobSummary, ListJobs, ListProfiles, Profile, ProfilePage
from eventlog.rpc import NotFoundError, ask
from fastapi import APIRouter, Query
from pydantic import Field

from gateway.context import Gateway, Owner, TheGateway
from gateway.jobs.routes import items
from gateway.jobs.views import (
    ArtifactView,
    ConsentView,
    JobItem,
    artifact_views,
    card_of,
    consent_of,
)
from gateway.live import LiveJob
from gateway.problems import Problem, ProblemKind
from gateway.profiles import erasure, trained

router = APIRouter(prefix="/api", tags=["profiles"])

_PARTS = ("lora", "voice", "faces", "preview", "samples")
# Where the voice can be heard: matched, and else as it was recorded.
_VOICES = ("preview", "clip")
_JOBS = 50


class ProfileView(Contract):
    """A trained person."""

    profile_id: Id
    name: str | None
    ready: bool = Field(default=True, description="whether videos can be made with it")
    has_voice: bool
    portrait_url: str | None = Field(description="a small picture of them")
    voice_url: str | None = Field(description="a recording of the voice, to listen to")
    videos: int = Field(description="how many were made with it")
    consent: ConsentView | None = Field(
        description="what videos of them rest on; null if it is of before consent was asked for, "
        "and has to be given with the next video"
    )
    trained_by: Id
    created_at: Timestamp
    updated_at: Timestamp
    artifacts: tuple[ArtifactView, ...]


class ProfileWithJobs(ProfileView):
    """A trained person, and the newest jobs that had to do with them."""

    jobs: tuple[JobItem, ...]


class ProfileList(Contract):
    """One page of profiles, newest first."""

    profiles: tuple[ProfileView, ...]
    next: Id | None


@router.get("/profiles")
async def list_profiles(
    gateway: TheGateway,
    owner: Owner,
    before: Id | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ProfileList:
    """The profiles that videos can be made with."""
    query = ListProfiles(
        owner=owner, before=before, limit=limit, min_position=gateway.live.position
    )
    try:
        page, _ = await ask(gateway.broker, query, ProfilePage)
    except NotFoundError:
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            "`before` names no profile.",
            "Take it from `next` of an earlier page, or leave it out.",
        ) from None
    views = await asyncio.gather(*(_view(gateway, owner, one) for one in page.profiles))
    return ProfileList(
        profiles=tuple(view for view in views if view is not None), next=page.next_before
    )


@router.get("/profiles/{profile}")
async def get_profile(profile: str, gateway: TheGateway, owner: Owner) -> ProfileWithJobs:
    """One profile, with its training and the newest videos; GET /api/jobs has all of them."""
    view = await _view(gateway, owner, await trained.find(gateway, profile, owner))
    if view is None:
        raise trained.no_such_profile()
    query = ListJobs(owner=owner, profile=profile, limit=_JOBS, min_position=gateway.live.position)
    page, _ = await ask(gateway.broker, query, JobPage)
    return ProfileWithJobs(**dict(view), jobs=await items(gateway, page, owner))


@router.delete("/profiles/{profile}", status_code=204)
async def delete_profile(profile: str, gateway: TheGateway, owner: Owner) -> None:
    """Erase a person: the job that trained them, and every job that was made with it.

    Photos, recording, LoRA, voice, prompts, scripts and videos are erased from the store soon
    after, but for what another person's jobs need.
    """
    await trained.find(gateway, profile, owner)
    jobs = await erasure.made_with(gateway.broker, profile, owner, gateway.live.position)
    running = [one.job for one in jobs if not await _has_ended(gateway, one)]
    if running:
        raise Problem(
            ProblemKind.JOB_IS_RUNNING,
            f"{len(running)} of the person's {len(jobs)} jobs have not ended: "
            f"{', '.join(running)}.",
            "Cancel them first: POST /api/jobs/{job}/cancel.",
            jobs=running,
        )
    reached = await gateway.log.tell(profile, ProfileErased(by=owner))
    for one in jobs:
        reached = (await erasure.delete(gateway.log, one.job, owner)).sequence
    await gateway.live.reached(reached)


async def _has_ended(gateway: Gateway, job: JobSummary) -> bool:
    """Whether a job has ended; lists may not have heard of it yet."""
    return job.status.ended or (await gateway.log.fold(job.job)).status.ended


async def _view(gateway: Gateway, owner: str, profile: Profile) -> ProfileView | None:
    """None if the profile was deleted in this moment."""
    try:
        maker = await gateway.live.find(profile.created_by, owner)
    except NotFoundError:
        return None
    name = await gateway.names.of(maker)
    return ProfileView(
        profile_id=profile.profile,
        name=name,
        ready={"lora", "faces"} <= profile.artifacts.keys(),
        has_voice="voice" in profile.artifacts,
        portrait_url=card_of(maker, name).thumbnail_url,
        voice_url=_voice_url(maker),
        videos=profile.videos,
        consent=consent_of(maker.state, await gateway.texts.statement_of(maker)),
        trained_by=profile.created_by,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
        artifacts=tuple(view for view in artifact_views(maker) if view.output in _PARTS),
    )


def _voice_url(maker: LiveJob) -> str | None:
    """Where to hear the voice that a job has learnt."""
    sounds = [view for view in artifact_views(maker) if view.media_type.startswith("audio/")]
    for output in _VOICES:
        for view in sounds:
            if view.output == output:
                return view.url
    request = maker.state.request
    return f"/api/jobs/{maker.job}/inputs/clip/0" if request and "clip" in request.inputs else None
