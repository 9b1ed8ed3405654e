"""How long a job and its stages will still take, as the API tells it."""

from __future__ import annotations

from datetime import datetime

from contracts.job import StageState

from gateway.eta import StageTime, remaining_s
from gateway.live import LiveJob


def eta_s(live: LiveJob, now: datetime) -> float | None:
    """Seconds until a running job is done, as far as can be told."""
    state = live.state
    if state.graph is None or state.status.ended:
        return None
    times = {stage.id: _time(live, stage, now) for stage in state.stages.values()}
    left = remaining_s(state.graph, times)
    return None if left is None else round(left, 1)


def stage_eta_s(live: LiveJob, stage: str, now: datetime) -> float | None:
    """Seconds until a running stage is done, as it told last."""
    note = live.note(stage)
    if note is None or note.eta_s is None:
        return None
    return round(max(note.eta_s - max((now - note.at).total_seconds(), 0.0), 0.0), 1)


def _time(live: LiveJob, stage: StageState, now: datetime) -> StageTime:
    if stage.status.ended:
        lasted = stage.ended_at and stage.started_at and stage.ended_at - stage.started_at
        return StageTime(taken_s=lasted.total_seconds() if lasted else 0.0, ended=True)
    taken = (now - stage.started_at).total_seconds() if stage.started_at else 0.0
    return StageTime(taken_s=max(taken, 0.0), left_s=stage_eta_s(live, stage.id, now))
