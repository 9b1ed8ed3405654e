"""Questions about what jobs made: artifacts, profiles, and what they take up."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.artifacts import Artifact, Artifacts
from contracts.base import Contract, Id, Name, Sha256, Timestamp
from contracts.queries.base import Query


class GetArtifact(Query):
    """Where an artifact of the owner's is. Answered by `ArtifactEntry`."""

    subject = "artifacts.get"
    job: Id
    stage: Name
    output: Name
    index: Annotated[int, Field(ge=0)] = 0


class GetProfile(Query):
    """A profile and what was made for it. Answered by `Profile`."""

    subject = "profiles.get"
    profile: Id


class ListProfiles(Query):
    """Profiles, newest first. Answered by `ProfilePage`."""

    subject = "profiles.list"
    before: Id | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ListErasable(Query):
    """The objects of a deleted job that nothing else of the owner's needs.

    What a job uploaded or made is needed by another job that is not deleted if it uploaded it,
    made it or took it over; what comes from a profile is only borrowed. Answered by `ObjectKeys`.
    """

    subject = "objects.erasable"
    job: Id


class FindObject(Query):
    """An object of the owner's with this content, uploaded or made. Answered by `Artifact`."""

    subject = "objects.find"
    sha256: Sha256


class GetUsage(Query):
    """What the owner's jobs take up. Answered by `Usage`."""

    subject = "usage.get"


class ArtifactEntry(Contract):
    """An artifact with the stage that made it."""

    job: Id
    stage: Name
    output: Name
    index: int
    artifact: Artifact


class Profile(Contract):
    """What a training made, ready to generate with."""

    profile: Id
    created_by: Id = Field(description="the job that trained it")
    artifacts: Artifacts = Field(description="lora, voice and faces, as far as they exist")
    videos: int = Field(default=0, description="completed jobs that made one with it")
    created_at: Timestamp
    updated_at: Timestamp


class ProfilePage(Contract):
    """Some profiles, and from where to go on."""

    profiles: tuple[Profile, ...]
    next_before: Id | None = None


class ObjectKeys(Contract):
    """Objects of a deleted job: those that may be erased, and those that others need."""

    keys: tuple[str, ...]
    kept: tuple[str, ...] = ()


class Usage(Contract):
    """What an owner's jobs that are not deleted take up, each object counted once."""

    jobs: int
    objects: int
    stored_bytes: int
