"""Objects: everything in the store that a job named, what it is to the job, and where it stands.

One row for each place of an object in a job, so an object that is made anew under another key
keeps its first row: what is erased with the job must be known, whether it is still shown or not.
Checkpoints and samples stand under the outputs `checkpoint` and `sample`, with their training
step as the index; what the request named has no stage, nor has the statement of a `consent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.artifacts import Artifact, Artifacts
from contracts.job import StageState
from contracts.queries import (
    ArtifactEntry,
    FindObject,
    GetArtifact,
    GetUsage,
    ListErasable,
    ObjectKeys,
    Usage,
)
from sqlalchemy import BigInteger, Column, Index, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from contracts import events as e
from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of
from projector.projections import jobs

CHECKPOINT = "checkpoint"
SAMPLE = "sample"
CONSENT = "consent"
_REQUEST = ""


class Role(StrEnum):
    """What an object is to a job."""

    UPLOADED = "uploaded"
    """It came with the request."""
    BORROWED = "borrowed"
    """The request took it from a profile, whose job keeps it."""
    MADE = "made"
    TAKEN_OVER = "taken_over"
    """Another job made it, and it stands for a stage of this one."""
    UNUSED = "unused"
    """Made by an attempt whose word came when nobody wanted it any more."""


_NAMING = {
    e.JobRequested,
    e.ConsentGiven,
    e.StageReused,
    e.StageCompleted,
    e.StageCheckpointed,
    e.StageSampled,
}
"""Only these name objects."""
_SHOWN = (Role.UPLOADED, Role.MADE, Role.TAKEN_OVER)
_HOLDING = (*_SHOWN, Role.UNUSED)
_ERASED = (Role.UPLOADED, Role.MADE, Role.TAKEN_OVER, Role.UNUSED)


class Object(View, table=True):
    """One place of one object in a job."""

    __tablename__ = "objects_v1"
    __table_args__ = (Index("objects_v1_content", "owner", "sha256"),)

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    output: str = Field(primary_key=True)
    index: int = Field(primary_key=True)
    key: str = Field(primary_key=True)
    owner: str
    role: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    sha256: str
    media_type: str
    told_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


OBJECTS = table_of(Object)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        if type(change.recorded.event) not in _NAMING:
            continue
        for role, stage, output, index, artifact in _named(change):
            yield (
                OBJECTS,
                {
                    "job": change.after.job,
                    "stage": stage,
                    "output": output,
                    "index": index,
                    "key": artifact.key,
                    "owner": change.owner,
                    "role": role.value,
                    "size": artifact.size,
                    "sha256": artifact.sha256,
                    "media_type": artifact.media_type,
                    "told_at": change.recorded.time,
                    "sequence": change.recorded.sequence,
                },
            )


_Named = tuple[Role, str, str, int, Artifact]


def _named(change: Change) -> Iterator[_Named]:
    """(role, stage, output, index, object) of all that the event names."""
    event = change.recorded.event
    match event:
        case e.StageCheckpointed() | e.StageSampled():
            output = CHECKPOINT if isinstance(event, e.StageCheckpointed) else SAMPLE
            wanted = change.before.wants(event.stage, event.attempt)
            role = Role.MADE if wanted else Role.UNUSED
            yield role, event.stage, output, event.step, event.artifact
        case e.JobRequested() if change.before.request is None:
            for place, artifact in _places(event.inputs):
                borrowed = place[0] in e.PROFILE_INPUTS
                role = Role.BORROWED if borrowed else Role.UPLOADED
                yield role, _REQUEST, *place, artifact
        case e.ConsentGiven() if change.before.request is not None:
            yield Role.UPLOADED, _REQUEST, CONSENT, 0, event.statement
        case e.StageReused() if change.completed_stage is not None:
            for place, artifact in _places(event.outputs):
                yield Role.TAKEN_OVER, event.stage, *place, artifact
        case e.StageCompleted():
            stage = change.after.stages.get(event.stage)
            for place, artifact in _places(event.outputs):
                # Told twice it is still what the stage made.
                role = Role.MADE if _has(stage, *place, artifact) else Role.UNUSED
                yield role, event.stage, *place, artifact


def _places(artifacts: Artifacts) -> Iterator[tuple[tuple[str, int], Artifact]]:
    for name, several in artifacts.items():
        for index, artifact in enumerate(several):
            yield (name, index), artifact


def _has(stage: StageState | None, output: str, index: int, artifact: Artifact) -> bool:
    made = stage.outputs.get(output, ()) if stage else ()
    return index < len(made) and made[index].key == artifact.key


async def _get(connection: AsyncConnection, query: GetArtifact) -> ArtifactEntry | None:
    row = OBJECTS.c
    found = await connection.execute(
        _shown_objects(query.owner)
        .where(
            row.job == query.job,
            row.stage == query.stage,
            row.output == query.output,
            row.index == query.index,
            row.role.in_(_SHOWN),
        )
        .order_by(row.sequence.desc())
        .limit(1)
    )
    newest = found.first()
    if newest is None:
        return None
    return ArtifactEntry(
        job=newest.job,
        stage=newest.stage,
        output=newest.output,
        index=newest.index,
        artifact=_artifact(newest),
    )


def _shown_objects(owner: str) -> Select[Any]:
    return (
        select(OBJECTS).join(jobs.JOBS, jobs.JOBS.c.job == OBJECTS.c.job).where(*jobs.shown(owner))
    )


def _artifact(row: object) -> Artifact:
    return Artifact.model_validate({name: getattr(row, name) for name in Artifact.model_fields})


async def _erasable(connection: AsyncConnection, query: ListErasable) -> ObjectKeys | None:
    if not await jobs.was_deleted(connection, query.job, query.owner):
        return None
    mine, other = OBJECTS.c, OBJECTS.alias("other").c
    held = (
        select(other.key)
        .join(jobs.JOBS, jobs.JOBS.c.job == other.job)
        .where(
            other.owner == query.owner,
            other.sha256 == mine.sha256,
            other.key == mine.key,
            other.role.in_(_HOLDING),
            *jobs.shown(query.owner),
        )
        .exists()
    )
    each = (
        select(mine.key, held.label("held"))
        .where(mine.job == query.job, mine.owner == query.owner, mine.role.in_(_HOLDING))
        .distinct()
        .order_by(mine.key)
    )
    known = (await connection.execute(each)).all()
    return ObjectKeys(
        keys=tuple(row.key for row in known if not row.held),
        kept=tuple(row.key for row in known if row.held),
    )


async def _find(connection: AsyncConnection, query: FindObject) -> Artifact | None:
    row = OBJECTS.c
    found = await connection.execute(
        _shown_objects(query.owner)
        .where(row.owner == query.owner, row.sha256 == query.sha256, row.role.in_(_SHOWN))
        .order_by(row.sequence.desc())
        .limit(1)
    )
    newest = found.first()
    return _artifact(newest) if newest is not None else None


async def _usage(connection: AsyncConnection, query: GetUsage) -> Usage:
    row = OBJECTS.c
    each = (
        select(row.key, func.max(row.size).label("size"))
        .join(jobs.JOBS, jobs.JOBS.c.job == row.job)
        .where(row.role.in_(_HOLDING), *jobs.shown(query.owner))
        .group_by(row.key)
        .subquery()
    )
    held = await connection.execute(
        select(func.count(), func.coalesce(func.sum(each.c.size), 0)).select_from(each)
    )
    objects, stored_bytes = held.one()
    counted = await jobs.count_by_status(connection, query.owner)
    return Usage(jobs=sum(counted.values()), objects=objects, stored_bytes=int(stored_bytes))


PROJECTION = Projection(
    "objects",
    1,
    (OBJECTS,),
    _rows,
    {GetArtifact: _get, ListErasable: _erasable, FindObject: _find, GetUsage: _usage},
)
