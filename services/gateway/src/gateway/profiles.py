"""Profiles over HTTP: what trainings have made, ready to speak."""

from __future__ import annotations

import asyncio
from typing import Annotated

from contracts.base import Contract, Id, Timestamp
from contracts.queries import ListProfiles, Profile, ProfilePage
from eventlog.rpc import NotFoundError, ask
from fastapi import APIRouter, Query

from gateway.context import Owner, TheGateway
from gateway.live import LiveJob
from gateway.problems import Problem, ProblemKind
from gateway.views import ArtifactView, artifact_views

router = APIRouter(prefix="/api", tags=["profiles"])

_PARTS = ("lora", "voice", "faces", "preview", "samples")


class ProfileView(Contract):
    """A trained person."""

    profile_id: Id
    name: str | None
    ready: bool = True
    has_voice: bool
    trained_by: Id
    created_at: Timestamp
    updated_at: Timestamp
    artifacts: tuple[ArtifactView, ...]


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
    jobs = [profile.created_by for profile in page.profiles]
    names = await gateway.names.of_jobs(jobs, owner)
    makers = await asyncio.gather(*(gateway.live.find(job, owner) for job in jobs))
    return ProfileList(
        profiles=tuple(
            _view(profile, maker, names[profile.created_by])
            for profile, maker in zip(page.profiles, makers, strict=True)
        ),
        next=page.next_before,
    )


def _view(profile: Profile, maker: LiveJob, name: str | None) -> ProfileView:
    return ProfileView(
        profile_id=profile.profile,
        name=name,
        ready={"lora", "faces"} <= profile.artifacts.keys(),
        has_voice="voice" in profile.artifacts,
        trained_by=profile.created_by,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
        artifacts=tuple(view for view in artifact_views(maker) if view.output in _PARTS),
    )
