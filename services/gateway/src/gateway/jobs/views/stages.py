"""Stages as the API shows them, with their attempts, samples and results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from contracts.base import Contract, Id, Name, Timestamp
from contracts.job import AttemptState, Failure, Outcome, Sample, StageState, StageStatus
from pydantic import Field

from gateway.jobs.views.times import stage_eta_s
from gateway.live import LiveJob


class ArtifactView(Contract):
    """One result, and where to download it."""

    stage: Name
    output: Name
    index: int
    media_type: str
    size: int = Field(description="bytes")
    sha256: str
    url: str


class SampleView(Contract):
    """Something that an attempt showed while it ran."""

    attempt: int
    step: int
    caption: str
    at: Timestamp
    media_type: str
    url: str


class AttemptView(Contract):
    """One attempt at a stage."""

    attempt: int
    outcome: Outcome
    engine: Name
    engine_version: str
    params: dict[str, Any]
    runner: Id | None
    device: str | None
    resumed_from_step: int | None = Field(description="null if it began at the beginning")
    scheduled_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None
    failure: Failure | None


class StageView(Contract):
    """One stage of a job."""

    id: Name
    kind: Name
    after: tuple[Name, ...] = Field(description="the stages that it waits for")
    status: StageStatus
    attempt: int = Field(description="0 before the first")
    progress: float
    queue_position: int | None = Field(description="1 is next; null while it does not wait")
    engine: Name | None
    params: dict[str, Any] = Field(description="what it runs with, as far as it is decided")
    runner: Id | None
    device: str | None
    eta_s: float | None = Field(description="seconds until the stage is done")
    message: str | None
    done: float | None
    total: float | None
    unit: str | None
    rate: float | None = Field(description="units per second")
    reused_from: Id | None = Field(description="the earlier job whose result serves")
    metrics: dict[str, Any]
    failure: Failure | None
    retry_at: Timestamp | None
    started_at: Timestamp | None
    ended_at: Timestamp | None
    artifacts: tuple[ArtifactView, ...]
    samples: tuple[SampleView, ...]
    attempts: tuple[AttemptView, ...] = Field(description="all of them, the current one last")


class StageUpdate(Contract):
    """A stage in an update."""

    id: Name
    kind: Name
    status: StageStatus
    attempt: int
    progress: float
    queue_position: int | None
    eta_s: float | None
    message: str | None
    done: float | None
    total: float | None
    unit: str | None
    rate: float | None


def stage_of(live: LiveJob, stage_id: str, now: datetime, position: int | None) -> StageView:
    """A stage in full; `position` is its place in the queue if it waits in one."""
    state = live.state.stages[stage_id]
    note = live.note(stage_id)
    return StageView(
        id=state.id,
        kind=state.kind,
        after=_after(live, stage_id),
        status=state.status,
        attempt=state.attempt,
        progress=round(live.fraction(stage_id), 4),
        queue_position=position,
        engine=state.command.engine if state.command else None,
        params=_params(live, state),
        runner=state.runner,
        device=state.device,
        eta_s=stage_eta_s(live, stage_id, now),
        message=note.message or None if note else None,
        done=note.done if note else None,
        total=note.total if note else None,
        unit=note.unit if note else None,
        rate=note.rate if note else None,
        reused_from=state.reused_from,
        metrics=state.metrics,
        failure=state.failure,
        retry_at=state.retry_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        artifacts=tuple(artifacts_of(live.job, state)),
        samples=tuple(_samples(live.job, state)),
        attempts=tuple(_attempt(attempt) for attempt in state.attempts),
    )


def stage_update_of(live: LiveJob, stage_id: str, now: datetime) -> StageUpdate:
    """A stage as an update tells it."""
    state = live.state.stages[stage_id]
    note = live.note(stage_id)
    return StageUpdate(
        id=state.id,
        kind=state.kind,
        status=state.status,
        attempt=state.attempt,
        progress=round(live.fraction(stage_id), 4),
        queue_position=live.positions.get(stage_id),
        eta_s=stage_eta_s(live, stage_id, now),
        message=note.message or None if note else None,
        done=note.done if note else None,
        total=note.total if note else None,
        unit=note.unit if note else None,
        rate=note.rate if note else None,
    )


def artifacts_of(job: str, stage: StageState) -> Iterator[ArtifactView]:
    """Every result of a stage."""
    for output, artifacts in sorted(stage.outputs.items()):
        for index, artifact in enumerate(artifacts):
            yield ArtifactView(
                stage=stage.id,
                output=output,
                index=index,
                media_type=artifact.media_type,
                size=artifact.size,
                sha256=artifact.sha256,
                url=f"/api/jobs/{job}/artifacts/{stage.id}/{output}/{index}",
            )


def numbered_samples(stage: StageState) -> Iterator[tuple[str, Sample]]:
    """Each sample with its name: `attempt-step-n`, n counting those of the same step."""
    seen: Counter[tuple[int, int]] = Counter()
    for sample in stage.samples:
        place = (sample.attempt, sample.step)
        yield f"{sample.attempt}-{sample.step}-{seen[place]}", sample
        seen[place] += 1


def _samples(job: str, stage: StageState) -> Iterator[SampleView]:
    for name, sample in numbered_samples(stage):
        yield SampleView(
            attempt=sample.attempt,
            step=sample.step,
            caption=sample.caption,
            at=sample.at,
            media_type=sample.artifact.media_type,
            url=f"/api/jobs/{job}/samples/{stage.id}/{name}",
        )


def _attempt(state: AttemptState) -> AttemptView:
    return AttemptView(**{name: getattr(state, name) for name in AttemptView.model_fields})


def _params(live: LiveJob, state: StageState) -> dict[str, Any]:
    if state.command is not None:
        return state.command.params
    return live.state.graph.stage(state.id).params if live.state.graph else {}


def _after(live: LiveJob, stage: str) -> tuple[str, ...]:
    edges = live.state.graph.all_edges() if live.state.graph else ()
    return tuple(sorted({source for source, target, _ in edges if target == stage}))
