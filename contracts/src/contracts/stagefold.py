"""What an event about a stage means to it: the stage's part of the fold (`contracts.fold`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from contracts import events as e
from contracts.artifacts import Artifacts
from contracts.base import Contract, Timestamp
from contracts.envelope import Recorded
from contracts.graph import Graph
from contracts.job import (
    AttemptState,
    Checkpoint,
    Failure,
    Outcome,
    Sample,
    StageState,
    StageStatus,
)

MOST_SAMPLES = 64

M = TypeVar("M", bound=Contract)
Changes = dict[str, Any]
"""New values of a model's fields, by field."""


def changed(model: M, changes: Changes) -> M:
    """What `model_copy(update=…)` returns, at a third of its cost.

    A fold copies some models for every event, and most of the time of a copy went into the generic
    copying of what contracts do not have: extra fields and private attributes.
    """
    copied = object.__new__(type(model))
    put = object.__setattr__  # Contracts are frozen.
    put(copied, "__dict__", {**model.__dict__, **changes})
    known = model.__pydantic_fields_set__
    # Nobody changes the set of a frozen model, so that it may be shared.
    put(
        copied,
        "__pydantic_fields_set__",
        known if changes.keys() <= known else known | changes.keys(),
    )
    put(copied, "__pydantic_extra__", None)
    put(copied, "__pydantic_private__", None)
    return copied


def stopped(stage: StageState, time: Timestamp) -> StageState:
    """The stage once its job has ended: an attempt that is still under way is not wanted."""
    if not stage.status.outstanding:
        return stage
    stopped = {"outcome": Outcome.STOPPED, "ended_at": time}
    return changed(stage, {"attempts": _last_changed(stage, stopped)})


def stage_changes(stage: StageState, recorded: Recorded, graph: Graph | None) -> Changes | None:
    """What an event about a stage of this graph, which has not ended, changes in it."""
    event, time = recorded.event, recorded.time
    if attempt_rule := _ATTEMPT_RULES.get(type(event)):
        wanted = getattr(event, "attempt", 0) == stage.attempt and stage.status.outstanding
        return attempt_rule(stage, event, time, graph) if wanted else None
    match event:
        case e.StageScheduled() if event.attempt == stage.attempt + 1:
            return {
                "status": StageStatus.SCHEDULED,
                "attempt": event.attempt,
                "command": event,
                "input_hash": event.input_hash,
                "scheduled_at": time,
                "started_at": None,
                "retry_at": None,
                "runner": None,
                "device": None,
                "attempts": (*stage.attempts, _attempt(event, time)),
            }
        case e.StageReused():
            return _completion(event.outputs, event.metrics, time) | {
                "reused_from": event.from_job,
                "input_hash": event.input_hash,
            }
        case e.StageSkipped():
            return {"status": StageStatus.SKIPPED, "ended_at": time, "fraction": 1.0}
        case e.StageRetryScheduled() if stage.status is StageStatus.FAILING:
            return {"status": StageStatus.WAITING, "retry_at": event.at}
    return None


def _attempt_started(
    stage: StageState, event: e.StageStarted, time: Timestamp, _: object
) -> Changes:
    attempt = {
        "outcome": Outcome.RUNNING,
        "runner": event.runner,
        "device": event.device,
        "resumed_from_step": event.resumed_from_step,
        "started_at": time,
    }
    return {
        "status": StageStatus.RUNNING,
        "runner": event.runner,
        "device": event.device,
        "started_at": time,
        "attempts": _last_changed(stage, attempt),
    }


def _attempt_sampled(
    stage: StageState, event: e.StageSampled, time: Timestamp, _: object
) -> Changes:
    sample = Sample(
        attempt=event.attempt,
        step=event.step,
        caption=event.caption,
        artifact=event.artifact,
        at=time,
    )
    return {"samples": (*stage.samples, sample)[-MOST_SAMPLES:]}


def _attempt_checkpointed(
    stage: StageState, event: e.StageCheckpointed, _: Timestamp, __: object
) -> Changes:
    return {
        "checkpoint": Checkpoint(step=event.step, artifact=event.artifact),
        "fraction": max(stage.fraction, event.fraction),
    }


def _attempt_completed(
    stage: StageState, event: e.StageCompleted, time: Timestamp, _: object
) -> Changes:
    ended = {"outcome": Outcome.COMPLETED, "runner": event.runner, "ended_at": time}
    return _completion(event.outputs, event.metrics, time) | {
        "runner": event.runner,
        "attempts": _last_changed(stage, ended),
    }


def _attempt_failed(
    stage: StageState, event: e.StageFailed, time: Timestamp, graph: Graph | None
) -> Changes:
    failure = Failure(
        stage=stage.id,
        code=event.code,
        cause=event.cause,
        remedy=event.remedy,
        retryable=event.retryable,
    )
    attempts = graph.stage(stage.id).retry.attempts if graph else 1
    tries_left = event.retryable and stage.attempt - stage.attempts_forgiven < attempts
    failed = {"outcome": Outcome.FAILED, "failure": failure, "ended_at": time}
    return {
        "status": StageStatus.FAILING if tries_left else StageStatus.FAILED,
        "failure": failure,
        "ended_at": time,
        "attempts": _last_changed(stage, failed),
    }


_ATTEMPT_RULES: dict[
    type[e.Event], Callable[[StageState, Any, Timestamp, Graph | None], Changes]
] = {
    e.StageStarted: _attempt_started,
    e.StageSampled: _attempt_sampled,
    e.StageCheckpointed: _attempt_checkpointed,
    e.StageCompleted: _attempt_completed,
    e.StageFailed: _attempt_failed,
}
"""Of what an attempt tells: it counts only while the attempt is the current one."""


def _attempt(event: e.StageScheduled, time: Timestamp) -> AttemptState:
    return AttemptState(
        attempt=event.attempt,
        engine=event.engine,
        engine_version=event.engine_version,
        params=event.params,
        scheduled_at=time,
    )


def _last_changed(stage: StageState, changes: Changes) -> tuple[AttemptState, ...]:
    # A state that was stored before attempts were kept has none, and goes on without.
    return (*stage.attempts[:-1], *(changed(last, changes) for last in stage.attempts[-1:]))


def _completion(outputs: Artifacts, metrics: dict[str, Any], time: Timestamp) -> Changes:
    return {
        "status": StageStatus.COMPLETED,
        "outputs": outputs,
        "metrics": metrics,
        "fraction": 1.0,
        "ended_at": time,
        "failure": None,
        "retry_at": None,
    }
