"""Which events should not stand where they stand: what nobody who kept the rules would have told.

The fold takes every event and ignores what has no effect, which keeps zombies and redeliveries
harmless. But not everything without effect is merely late. A person may ask for anything at any
time, and a runner may tell of an attempt long after it was given up; the planner however decides
with the whole job before its eyes, and nobody works on an attempt that was never scheduled.
"""

from __future__ import annotations

from contracts import events as e
from contracts.envelope import Recorded
from contracts.events import Teller
from contracts.job import JobState, StageState, StageStatus

TELLERS = {
    "/myspinbot/gateway": Teller.USER,
    "/myspinbot/planner": Teller.PLANNER,
    "/myspinbot/gpu-runner": Teller.RUNNER,
}
"""Who tells events, by the source in their envelopes."""

_DECISIONS = frozenset({Teller.PLANNER})


def wrong_teller(recorded: Recorded) -> str | None:
    """Why the source of an event cannot be right, or None."""
    teller = TELLERS.get(recorded.source)
    if teller is None:
        return f"{recorded.source} is no service that tells events"
    if teller not in recorded.event.told_by:
        return f"{recorded.source} may not tell {recorded.type}"
    return None


def objection(state: JobState, recorded: Recorded) -> str | None:
    """Why an event is illegal after the job's earlier ones, or None if it is not.

    `state` is that of a job that was requested, or of one of which nothing is known.
    """
    event = recorded.event
    if isinstance(event, e.JobRequested):
        return "the job was requested before" if state.request is not None else None
    if event.told_by == _DECISIONS:
        if state.deleted:
            return "it was decided after the job was deleted"
        if state.status.ended:
            return f"it was decided after the job had {_ended(state)}"
    match event:
        case e.JobRetryRequested() | e.JobCancelRequested() | e.JobDeleted() | e.JobFailed():
            return None
        case e.ProfileErased():
            return None
        case e.ConsentGiven():
            return _consent(state)
        case e.JobPlanned():
            return "the job was planned before" if state.graph is not None else None
        case e.JobCancelled():
            return None if state.cancel_requested else "nobody had asked for it"
        case e.JobCompleted():
            return _incomplete(state)
    name = str(getattr(event, "stage", ""))
    stage = state.stages.get(name)
    if stage is None:
        return f"the job has no stage {name}"
    if event.told_by == _DECISIONS:
        return _decision_on(stage, event)
    attempt = int(getattr(event, "attempt", 0))
    if attempt > stage.attempt:
        return f"attempt {attempt} at {name} was never scheduled"
    return None


def _ended(state: JobState) -> str:
    return "failed" if state.status == "failed" else f"been {state.status}"


def _consent(state: JobState) -> str | None:
    if state.consent is not None:
        return "the consent was given before"
    begun = state.graph is not None or state.status.ended
    return "the job had begun without it" if begun else None


def _incomplete(state: JobState) -> str | None:
    if state.graph is None:
        return "the job had no plan"
    open_stages = sorted(stage.id for stage in state.stages.values() if not stage.status.ended)
    return f"{', '.join(open_stages)} had not ended" if open_stages else None


def _decision_on(stage: StageState, event: e.Event) -> str | None:
    if stage.status.ended:
        return f"{stage.id} was {stage.status} before"
    match event:
        case e.StageScheduled() if event.attempt != stage.attempt + 1:
            return f"attempt {event.attempt} does not follow attempt {stage.attempt}"
        case e.StageScheduled() if stage.status.outstanding:
            return f"attempt {stage.attempt} was still under way"
        case e.StageRetryScheduled() if stage.status is not StageStatus.FAILING:
            return f"no attempt at {stage.id} had failed"
    return None
