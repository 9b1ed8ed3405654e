"""How long a job and its stages will still take, as the API tells it."""

from __future__ import annotations

from datetime import datetime

from contracts.job import StageState, StageStatus

from gateway.installation.eta import StageTime, remaining_s, settled_s
from gateway.installation.outlook import Expectation
from gateway.live import LiveJob


def eta_s(live: LiveJob, now: datetime) -> float | None:
    """Seconds until a running job is done, as far as can be told."""
    state = live.state
    if state.graph is None or state.status.ended:
        return None
    times = {stage.id: _time(live, stage, now) for stage in state.stages.values()}
    machine = live.outlook.machine() if live.outlook else None
    left = remaining_s(state.graph, times, machine)
    return None if left is None else round(left, 1)


def stage_eta_s(live: LiveJob, stage: str, now: datetime) -> float | None:
    """Seconds until a running stage is done, by what it told last."""
    note = live.note(stage)
    if note is None or note.eta_s is None:
        return None
    expected = _expected(live, live.state.stages[stage])
    told = settled_s(note.eta_s, note.fraction, expected.seconds if expected else None)
    return round(max(told - max((now - note.at).total_seconds(), 0.0), 0.0), 1)


def _time(live: LiveJob, stage: StageState, now: datetime) -> StageTime:
    if stage.status.ended:
        lasted = stage.ended_at and stage.started_at and stage.ended_at - stage.started_at
        return StageTime(taken_s=lasted.total_seconds() if lasted else 0.0, ended=True)
    running = stage.status is StageStatus.RUNNING
    taken = (now - stage.started_at).total_seconds() if running and stage.started_at else 0.0
    expected = _expected(live, stage)
    wait = live.waits.get(stage.id)
    return StageTime(
        taken_s=max(taken, 0.0),
        left_s=stage_eta_s(live, stage.id, now),
        running=running,
        expected_s=expected.seconds if expected else None,
        delay_s=wait.delay_s if wait else 0.0,
        lane=stage.command.lane if stage.command else expected.lane if expected else None,
    )


def _expected(live: LiveJob, stage: StageState) -> Expectation | None:
    request, graph = live.state.request, live.state.graph
    if live.outlook is None or request is None or graph is None:
        return None
    asked = graph.stage(stage.id).engine or request.engines.get(stage.kind)
    engine = stage.command.engine if stage.command else asked
    return live.outlook.stage(stage.kind, engine, request.quality)
