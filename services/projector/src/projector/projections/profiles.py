"""Profiles: what trainings made for them, ready to generate with.

One row for each part that one job gave to a profile; the newest of each part is the
profile's. Profiles are kept by owner and id, so a job cannot change somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.artifacts import Artifacts
from contracts.job import JobState, StageState
from contracts.queries import GetProfile, ListProfiles, Profile, ProfilePage
from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Column, ColumnElement, Table, Text, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of
from projector.projections import jobs

_ARTIFACTS: TypeAdapter[Artifacts] = TypeAdapter(Artifacts)

_TRAINS_LORA = "train_lora"
_TRAINS_VOICE = "train_voice"
_PREPARES_FACES = "prepare_dataset"


class ProfilePart(View, table=True):
    """The LoRA (with the faces it was trained on) or the voice that one job gave a profile."""

    __tablename__ = "profiles_v1"

    owner: str = Field(primary_key=True)
    profile: str = Field(primary_key=True)
    part: str = Field(primary_key=True)
    job: str = Field(primary_key=True)
    artifacts: str = Field(sa_column=Column(Text, nullable=False))
    made_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


PARTS = table_of(ProfilePart)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        request = change.after.request
        if request is None or request.profile is None:
            continue
        for part, artifacts in _parts(change):
            name = {"name": request.inputs["name"]} if "name" in request.inputs else {}
            yield (
                PARTS,
                {
                    "owner": request.owner,
                    "profile": request.profile,
                    "part": part,
                    "job": change.after.job,
                    "artifacts": _ARTIFACTS.dump_json(artifacts | name, by_alias=True).decode(),
                    "made_at": change.recorded.time,
                    "sequence": change.recorded.sequence,
                },
            )


def _parts(change: Change) -> Iterator[tuple[str, Artifacts]]:
    """What a completed training stage adds to the profile of its job."""
    stage = change.completed_stage
    if stage is None:
        return
    if stage.kind == _TRAINS_LORA and "lora" in stage.outputs:
        yield "lora", {"lora": stage.outputs["lora"]} | _faces(change.after, stage)
    elif stage.kind == _TRAINS_VOICE and "voice" in stage.outputs:
        yield "voice", {"voice": stage.outputs["voice"]}


def _faces(job: JobState, training: StageState) -> Artifacts:
    """The faces that a LoRA was trained on: they are replaced only together with it."""
    # A reused stage was given no inputs, but stands for one that was given the same.
    given = training.command.inputs if training.command else {}
    prepared = [stage.outputs for stage in job.stages.values() if stage.kind == _PREPARES_FACES]
    requested = [job.request.inputs] if job.request else []
    for source in (given, *prepared, *requested):
        if "faces" in source:
            return {"faces": source["faces"]}
    return {}


async def _get(connection: AsyncConnection, query: GetProfile) -> Profile | None:
    profiles = await _read(connection, query.owner, [query.profile])
    return profiles.get(query.profile)


async def _list(connection: AsyncConnection, query: ListProfiles) -> ProfilePage | None:
    part, began = PARTS.c, func.min(PARTS.c.sequence)
    page = select(part.profile).where(*_shown(query.owner)).group_by(part.profile)
    if query.before is not None:
        mine = (*_shown(query.owner), part.profile == query.before)
        before = (await connection.execute(select(began).where(*mine))).scalar()
        if before is None:
            return None
        page = page.having(began < before)
    page = page.order_by(began.desc()).limit(query.limit + 1)
    ids = list((await connection.execute(page)).scalars())
    shown = ids[: query.limit]
    profiles = await _read(connection, query.owner, shown)
    return ProfilePage(
        profiles=tuple(profiles[profile] for profile in shown),
        next_before=shown[-1] if len(ids) > query.limit else None,
    )


def _shown(owner: str) -> tuple[ColumnElement[bool], ...]:
    job = jobs.JOBS.c.job
    mine = select(job).where(job == PARTS.c.job, *jobs.shown(owner))
    return PARTS.c.owner == owner, mine.exists()


async def _read(
    connection: AsyncConnection, owner: str, profiles: Sequence[str]
) -> dict[str, Profile]:
    part = PARTS.c
    wanted = select(PARTS).where(*_shown(owner), part.profile.in_(profiles))
    parts: dict[str, list[_Part]] = {}
    for row in await connection.execute(wanted.order_by(part.sequence)):
        artifacts = _ARTIFACTS.validate_json(row.artifacts)
        made = _Part(row.part, row.job, artifacts, row.made_at)
        parts.setdefault(row.profile, []).append(made)
    videos = await jobs.videos(connection, owner, profiles)
    return {
        profile: _profile(profile, made, videos.get(profile, 0)) for profile, made in parts.items()
    }


@dataclass(frozen=True, slots=True)
class _Part:
    part: str
    job: str
    artifacts: Artifacts
    made_at: datetime


def _profile(profile: str, made: Sequence[_Part], videos: int) -> Profile:
    """The profile from all its parts, oldest first."""
    newest = {part.part: part for part in made}
    artifacts: Artifacts = {}
    for part in made:
        if newest[part.part] is part:
            artifacts |= part.artifacts
    return Profile(
        profile=profile,
        created_by=made[0].job,
        artifacts=artifacts,
        videos=videos,
        created_at=made[0].made_at,
        updated_at=made[-1].made_at,
    )


PROJECTION = Projection("profiles", 1, (PARTS,), _rows, {GetProfile: _get, ListProfiles: _list})
