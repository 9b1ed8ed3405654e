"""A job's state as the log alone tells it, in the shape in which the gateway shows jobs.

What the log does not hold is missing: names, scripts and prompts are objects of their own.
"""

from __future__ import annotations

from typing import Any

from contracts.job import AttemptState, JobState, StageState

from myspinbot.client.replies import (
    ArtifactLink,
    Attempt,
    Failure,
    InputLink,
    JobDetail,
    StageDetail,
)
from myspinbot.client.replies.jobs import Fork


def detail(state: JobState) -> JobDetail:
    """The job; links are empty, as the log holds no addresses."""
    request = state.request
    return JobDetail(
        job_id=state.job,
        type=str(request.type) if request else "?",
        status=state.status,
        progress=state.progress,
        profile_id=request.profile if request else None,
        quality=str(request.quality) if request else None,
        seed=request.seed if request else None,
        engines=dict(request.engines) if request else {},
        params=dict(request.params) if request else {},
        forked_from=(
            Fork(job_id=request.forked_from.job, stage=request.forked_from.stage)
            if request and request.forked_from
            else None
        ),
        failure=_failure(state.failure),
        created_at=state.created_at,
        updated_at=state.updated_at,
        ended_at=state.ended_at,
        sequence=state.sequence,
        inputs=_inputs(state),
        stages=tuple(map(_stage, _in_order(state))),
        artifacts=_artifacts(state),
    )


def _in_order(state: JobState) -> list[StageState]:
    return [state.stages[stage] for stage in (state.graph.order() if state.graph else ())]


def _stage(stage: StageState) -> StageDetail:
    command = stage.command
    return StageDetail(
        id=stage.id,
        kind=stage.kind,
        status=stage.status,
        attempt=stage.attempt,
        progress=stage.fraction,
        engine=command.engine if command else None,
        params=command.params if command else None,
        runner=stage.runner,
        device=stage.device,
        reused_from=stage.reused_from,
        metrics=stage.metrics,
        failure=_failure(stage.failure),
        retry_at=stage.retry_at,
        started_at=stage.started_at,
        ended_at=stage.ended_at,
        attempts=tuple(map(_attempt, stage.attempts)),
    )


def _attempt(attempt: AttemptState) -> Attempt:
    return Attempt.model_validate(attempt.model_dump(by_alias=True))


def _failure(failure: Any) -> Failure | None:
    return Failure.model_validate(failure.model_dump(by_alias=True)) if failure else None


def _inputs(state: JobState) -> tuple[InputLink, ...]:
    given = state.request.inputs if state.request else {}
    return tuple(
        InputLink(
            input=name,
            index=index,
            media_type=item.media_type,
            size=item.size,
            sha256=item.sha256,
            url="",
        )
        for name, items in given.items()
        for index, item in enumerate(items)
    )


def _artifacts(state: JobState) -> tuple[ArtifactLink, ...]:
    return tuple(
        ArtifactLink(
            stage=stage.id,
            output=name,
            index=index,
            media_type=item.media_type,
            size=item.size,
            sha256=item.sha256,
            url="",
        )
        for stage in _in_order(state)
        for name, items in stage.outputs.items()
        for index, item in enumerate(items)
    )
