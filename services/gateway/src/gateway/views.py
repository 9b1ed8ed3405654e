"""Jobs as the API shows them: what the log and the running stages say, in one picture."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from contracts.base import Contract, Id, Name, Timestamp
from contracts.events import JobType, Quality
from contracts.job import Failure, JobState, JobStatus, StageState, StageStatus
from contracts.queries import JobSummary
from pydantic import Field

from gateway.eta import StageTime, remaining_s
from gateway.live import LiveJob


class StatusView(Contract):
    """How a job stands, in four words."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float = Field(description="0..1; it never goes back")


class ArtifactView(Contract):
    """One result, and where to download it."""

    stage: Name
    output: Name
    index: int
    media_type: str
    size: int = Field(description="bytes")
    sha256: str
    url: str


class StageView(Contract):
    """One stage of a job."""

    id: Name
    kind: Name
    after: tuple[Name, ...] = Field(description="the stages that it waits for")
    status: StageStatus
    attempt: int = Field(description="0 before the first")
    progress: float
    engine: Name | None
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


class JobView(Contract):
    """A job with all that is known of it."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float
    eta_s: float | None = Field(description="seconds until the job is done")
    name: str | None = Field(description="as its owner called it")
    profile_id: Id | None
    quality: Quality
    cancel_requested: bool
    failure: Failure | None
    created_at: Timestamp | None
    updated_at: Timestamp | None
    ended_at: Timestamp | None
    sequence: int = Field(description="position in the log that this view has reached")
    stages: tuple[StageView, ...] = Field(description="each after those it waits for")
    artifacts: tuple[ArtifactView, ...] = Field(description="every result of every stage")


class JobItem(Contract):
    """A job as lists show it."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float
    name: str | None
    profile_id: Id | None
    failure: Failure | None
    created_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None


class JobList(Contract):
    """One page of jobs, newest first."""

    jobs: tuple[JobItem, ...]
    next: Id | None = Field(description="give it as `before` to get the page after this one")


class StageUpdate(Contract):
    """A stage in an update."""

    id: Name
    kind: Name
    status: StageStatus
    attempt: int
    progress: float
    eta_s: float | None
    message: str | None


class JobUpdate(Contract):
    """What a WebSocket client is sent whenever a job changes."""

    type: Literal["update"] = "update"
    job_id: Id
    job_type: JobType
    status: JobStatus
    progress: float
    eta_s: float | None
    sequence: int
    failure: Failure | None
    stages: tuple[StageUpdate, ...]


def status_of(live: LiveJob) -> StatusView:
    """The job in short."""
    return StatusView(
        job_id=live.job,
        type=_type(live.state),
        status=live.state.status,
        progress=round(live.progress, 4),
    )


def job_of(live: LiveJob, name: str | None, now: datetime) -> JobView:
    """The job in full."""
    state = live.state
    stages = tuple(_stage(live, stage_id, now) for stage_id in _order(state))
    return JobView(
        job_id=state.job,
        type=_type(state),
        status=state.status,
        progress=round(live.progress, 4),
        eta_s=eta_s(live, now),
        name=name,
        profile_id=state.request.profile if state.request else None,
        quality=state.request.quality if state.request else Quality.STANDARD,
        cancel_requested=state.cancel_requested,
        failure=state.failure,
        created_at=state.created_at,
        updated_at=state.updated_at,
        ended_at=state.ended_at,
        sequence=state.sequence,
        stages=stages,
        artifacts=tuple(artifact_views(live)),
    )


def item_of(summary: JobSummary, live: LiveJob | None, name: str | None) -> JobItem:
    """The job in a list; what is happening now is taken from `live` if it is known."""
    status, progress = summary.status, summary.progress
    if live is not None and live.state.sequence >= summary.sequence:
        status, progress = live.state.status, live.progress
    return JobItem(
        job_id=summary.job,
        type=summary.type,
        status=status,
        progress=round(progress, 4),
        name=name,
        profile_id=summary.profile,
        failure=summary.failure,
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        ended_at=summary.ended_at,
    )


def update_of(live: LiveJob, now: datetime) -> JobUpdate:
    """The job as an update tells it."""
    state = live.state
    return JobUpdate(
        job_id=state.job,
        job_type=_type(state),
        status=state.status,
        progress=round(live.progress, 4),
        eta_s=eta_s(live, now),
        sequence=state.sequence,
        failure=state.failure,
        stages=tuple(_stage_update(live, stage_id, now) for stage_id in _order(state)),
    )


def artifact_views(live: LiveJob) -> Iterator[ArtifactView]:
    """Every result of a job's stages."""
    for stage in _order(live.state):
        yield from _artifacts(live.job, live.state.stages[stage])


def eta_s(live: LiveJob, now: datetime) -> float | None:
    """Seconds until a running job is done, as far as can be told."""
    state = live.state
    if state.graph is None or state.status.ended:
        return None
    times = {stage.id: _time(live, stage, now) for stage in state.stages.values()}
    left = remaining_s(state.graph, times)
    return None if left is None else round(left, 1)


def _time(live: LiveJob, stage: StageState, now: datetime) -> StageTime:
    if stage.status.ended:
        lasted = stage.ended_at and stage.started_at and stage.ended_at - stage.started_at
        return StageTime(taken_s=lasted.total_seconds() if lasted else 0.0, ended=True)
    taken = (now - stage.started_at).total_seconds() if stage.started_at else 0.0
    return StageTime(taken_s=max(taken, 0.0), left_s=_stage_eta_s(live, stage.id, now))


def _stage_eta_s(live: LiveJob, stage: str, now: datetime) -> float | None:
    note = live.note(stage)
    if note is None or note.eta_s is None:
        return None
    return round(max(note.eta_s - max((now - note.at).total_seconds(), 0.0), 0.0), 1)


def _stage(live: LiveJob, stage_id: str, now: datetime) -> StageView:
    state = live.state.stages[stage_id]
    note = live.note(stage_id)
    return StageView(
        id=state.id,
        kind=state.kind,
        after=_after(live.state, stage_id),
        status=state.status,
        attempt=state.attempt,
        progress=round(live.fraction(stage_id), 4),
        engine=state.command.engine if state.command else None,
        runner=state.runner,
        device=state.device,
        eta_s=_stage_eta_s(live, stage_id, now),
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
        artifacts=tuple(_artifacts(live.job, state)),
    )


def _stage_update(live: LiveJob, stage_id: str, now: datetime) -> StageUpdate:
    state = live.state.stages[stage_id]
    note = live.note(stage_id)
    return StageUpdate(
        id=state.id,
        kind=state.kind,
        status=state.status,
        attempt=state.attempt,
        progress=round(live.fraction(stage_id), 4),
        eta_s=_stage_eta_s(live, stage_id, now),
        message=note.message or None if note else None,
    )


def _artifacts(job: str, stage: StageState) -> Iterator[ArtifactView]:
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


def _order(state: JobState) -> tuple[str, ...]:
    return state.graph.order() if state.graph else ()


def _after(state: JobState, stage: str) -> tuple[str, ...]:
    edges = state.graph.all_edges() if state.graph else ()
    return tuple(sorted({source for source, target, _ in edges if target == stage}))


def _type(state: JobState) -> JobType:
    if state.request is None:
        raise ValueError(f"job {state.job} has no request")
    return state.request.type
