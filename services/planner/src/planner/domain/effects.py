"""What the outside must be told once an event stands in the log."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.commands import StageCommand, StopCommand
from contracts.job import JobState, StageState, StageStatus


def command_of(state: JobState, stage: StageState) -> StageCommand | None:
    """The command of the stage's current attempt, if it is outstanding."""
    scheduled = stage.command
    if scheduled is None or not state.wants(stage.id, stage.attempt):
        return None
    return StageCommand(
        job=state.job,
        stage=stage.id,
        attempt=scheduled.attempt,
        kind=scheduled.kind,
        engine=scheduled.engine,
        lane=scheduled.lane,
        params=scheduled.params,
        inputs=scheduled.inputs,
        seed=scheduled.seed,
        deadline=scheduled.deadline,
    )


def commands(state: JobState) -> Iterator[StageCommand]:
    """The commands of all outstanding attempts of a job."""
    for stage in state.stages.values():
        if command := command_of(state, stage):
            yield command


def stops(before: JobState, after: JobState) -> Iterator[StopCommand]:
    """The attempts that were wanted before an event and are not after it.

    An attempt that completed has stopped by itself, and hears nothing.
    """
    for stage in before.stages.values():
        if not before.wants(stage.id, stage.attempt):
            continue
        if after.wants(stage.id, stage.attempt):
            continue
        if after.stages[stage.id].status is StageStatus.COMPLETED:
            continue
        reason = f"the job was {after.status}" if after.status.ended else "the attempt is over"
        yield StopCommand(job=after.job, stage=stage.id, attempt=stage.attempt, reason=reason)
