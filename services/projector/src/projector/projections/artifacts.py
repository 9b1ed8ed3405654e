"""Artifacts: where each object is that a stage made, on its way as well as at its end.

Checkpoints and samples are kept under the outputs `checkpoint` and `sample`, with their
training step as the index: a later attempt that comes to the same step replaces them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from contracts.artifacts import Artifact as Reference
from contracts.queries import ArtifactEntry, GetArtifact
from sqlalchemy import BigInteger, Column, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field

from contracts import events as e
from projector.database import Row, UtcDateTime
from projector.fold import Change
from projector.projection import Projection, View, table_of

CHECKPOINT = "checkpoint"
SAMPLE = "sample"


class Artifact(View, table=True):
    """One object and the stage that made it."""

    __tablename__ = "artifacts_v1"

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    output: str = Field(primary_key=True)
    index: int = Field(primary_key=True)
    owner: str
    key: str
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    sha256: str = Field(index=True)
    media_type: str
    made_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    sequence: int = Field(sa_column=Column(BigInteger, nullable=False))


ARTIFACTS = table_of(Artifact)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    for change in batch:
        for stage, output, index, reference in _made(change):
            yield (
                ARTIFACTS,
                {
                    "job": change.after.job,
                    "stage": stage,
                    "output": output,
                    "index": index,
                    "owner": change.owner,
                    "key": reference.key,
                    "size": reference.size,
                    "sha256": reference.sha256,
                    "media_type": reference.media_type,
                    "made_at": change.recorded.time,
                    "sequence": change.recorded.sequence,
                },
            )


def _made(change: Change) -> Iterator[tuple[str, str, int, Reference]]:
    """(stage, output, index, object) of what the event tells, unless its attempt is over."""
    if stage := change.completed_stage:
        for output, references in stage.outputs.items():
            for index, reference in enumerate(references):
                yield stage.id, output, index, reference
        return
    event = change.recorded.event
    match event:
        case e.StageCheckpointed():
            output = CHECKPOINT
        case e.StageSampled():
            output = SAMPLE
        case _:
            return
    if change.before.wants(event.stage, event.attempt):
        yield event.stage, output, event.step, event.artifact


async def _get(connection: AsyncConnection, query: GetArtifact) -> ArtifactEntry | None:
    made = ARTIFACTS.c
    found = await connection.execute(
        select(ARTIFACTS).where(
            made.job == query.job,
            made.stage == query.stage,
            made.output == query.output,
            made.index == query.index,
            made.owner == query.owner,
        )
    )
    row = found.mappings().first()
    if row is None:
        return None
    return ArtifactEntry(
        job=row["job"],
        stage=row["stage"],
        output=row["output"],
        index=row["index"],
        artifact=Reference.model_validate({name: row[name] for name in Reference.model_fields}),
    )


PROJECTION = Projection("artifacts", 1, (ARTIFACTS,), _rows, {GetArtifact: _get})
