"""Stages: one row for each stage of each job, for operators and for what adds up their times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from contracts.job import StageState
from sqlalchemy import Column, Table, Text
from sqlmodel import Field

from projector.database import Row, UtcDateTime
from projector.fold import Change, latest
from projector.projection import Projection, View, table_of


class Stage(View, table=True):
    """One stage as it stands. `metrics` and `failure` are JSON."""

    __tablename__ = "stages_v1"

    job: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    owner: str
    kind: str
    status: str
    attempt: int
    engine: str | None
    engine_version: str | None
    lane: str | None
    input_hash: str | None = Field(index=True)
    reused_from: str | None
    runner: str | None
    device: str | None
    fraction: float
    metrics: str = Field(sa_column=Column(Text, nullable=False))
    failure: str | None = Field(sa_column=Column(Text))
    scheduled_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    started_at: datetime | None = Field(sa_column=Column(UtcDateTime))
    ended_at: datetime | None = Field(sa_column=Column(UtcDateTime))


STAGES = table_of(Stage)


def _rows(batch: Sequence[Change]) -> Iterable[tuple[Table, Row]]:
    touched = {
        (change.after.job, stage)
        for change in batch
        for stage, state in change.after.stages.items()
        if change.before.stages.get(stage) is not state
    }
    for request, state in latest(batch):
        for stage in state.stages.values():
            if (state.job, stage.id) in touched:
                yield STAGES, _row(state.job, request.owner, stage)


def _row(job: str, owner: str, stage: StageState) -> Row:
    command = stage.command
    return {
        "job": job,
        "stage": stage.id,
        "owner": owner,
        "kind": stage.kind,
        "status": stage.status.value,
        "attempt": stage.attempt,
        "engine": command.engine if command else None,
        "engine_version": command.engine_version if command else None,
        "lane": command.lane.value if command else None,
        "input_hash": command.input_hash if command else None,
        "reused_from": stage.reused_from,
        "runner": stage.runner,
        "device": stage.device,
        "fraction": stage.fraction,
        "metrics": json.dumps(stage.metrics, sort_keys=True),
        "failure": stage.failure.to_json().decode() if stage.failure else None,
        "scheduled_at": stage.scheduled_at,
        "started_at": stage.started_at,
        "ended_at": stage.ended_at,
    }


PROJECTION = Projection("stages", 1, (STAGES,), _rows)
