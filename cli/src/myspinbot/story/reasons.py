"""Why an event came about, as far as the log itself tells: from the states before and after it.

The planner decides from a job's state alone, so the state before a decision is its reason.
"""

from __future__ import annotations

from contracts.graph import EdgeKind, Graph
from contracts.job import JobState, JobStatus, StageState, StageStatus

from contracts import events as e
from myspinbot.story.history import Entry
from myspinbot.story.sentences import listed
from myspinbot.story.spans import span


def reason(entry: Entry) -> str | None:
    """Why it happened, in a clause; None where the event says all there is to say."""
    if entry.problem is not None:
        return entry.problem
    event = entry.recorded.event if entry.recorded else None
    if event is None:
        return None
    if not entry.effective and not isinstance(event, e.BESIDE):
        return f"it changed nothing: {_too_late(event, entry.before)}"
    state = entry.before
    match event:
        case e.JobRequested():
            return _request(event)
        case e.JobPlanned():
            return _plan(state)
        case e.StageScheduled():
            return _schedule(event, state)
        case e.StageReused():
            return _reuse(event, state)
        case e.StageSkipped():
            return _skip(event, state)
        case e.StageRetryScheduled():
            return _retry(event, state)
        case e.StageStarted() if event.delivery > 1:
            return "the runner that had it before said nothing any more, so it was given out again"
        case e.StageFailed():
            return _failure(event, state, entry.after)
        case e.JobFailed():
            return _job_failure(event, state)
        case e.JobCompleted():
            return _completion(state)
        case e.JobCancelled():
            return "somebody asked for it"
        case e.JobRetryRequested():
            had = "been cancelled" if state.status is JobStatus.CANCELLED else "failed"
            return f"it had {had}; what is completed stays"
    return None


def _too_late(event: e.Event, state: JobState) -> str:
    if state.request is None:
        return "the job had not been asked for"
    if state.deleted:
        return "the job was deleted"
    if state.status.ended:
        return f"the job was {state.status} already"
    stage, attempt = state.stages.get(getattr(event, "stage", "")), getattr(event, "attempt", None)
    if stage is not None and attempt is not None and attempt < stage.attempt:
        return f"attempt {attempt} was given up, and attempt {stage.attempt} is the one that counts"
    if stage is not None:
        return f"{stage.id} was {stage.status} already"
    return "it came late, or twice"


def _request(event: e.JobRequested) -> str | None:
    fork = event.forked_from
    return f"a fork of {fork.job}, anew from {fork.stage} on" if fork else None


def _plan(state: JobState) -> str | None:
    if state.request is None:
        return None
    if state.request.graph is not None:
        return "the graph that came with the request"
    return f"the built-in graph for {state.request.type} with what was given"


def _schedule(event: e.StageScheduled, state: JobState) -> str:
    stage = state.stages[event.stage]
    return f"{_due(stage, state)}; {_engine(event, state)}"


def _due(stage: StageState, state: JobState) -> str:
    """Why an attempt is due: its inputs, a failure that may pass, or somebody's wish."""
    if stage.attempt > 0 and stage.attempts_forgiven == stage.attempt:
        return f"a retry was asked for after attempt {stage.attempt}"
    if stage.status is StageStatus.WAITING and stage.failure is not None:
        return f"attempt {stage.attempt} failed with {stage.failure.code}, and its pause is over"
    fork = state.request.forked_from if state.request else None
    if fork is not None and fork.stage == stage.id:
        return "the fork does this stage anew"
    waited_for = _before(state.graph, stage.id)
    if not waited_for:
        return "it waits for no other stage"
    return f"{listed(waited_for)} {'is' if len(waited_for) == 1 else 'are'} done"


def _engine(event: e.StageScheduled, state: JobState) -> str:
    request, graph = state.request, state.graph
    spec = graph.stage(event.stage) if graph else None
    if spec is not None and spec.engine == event.engine:
        return f"{event.engine} was asked for"
    quality = f" for quality {request.quality}" if request else ""
    return f"the planner chose {event.engine}{quality}"


def _reuse(event: e.StageReused, state: JobState) -> str:
    fork = state.request.forked_from if state.request else None
    if fork is not None and fork.job == event.from_job:
        return f"the fork is from {fork.stage} on, and takes this over"
    return (
        f"{event.from_stage} of that job had the same engine, parameters and inputs "
        f"(hash {event.input_hash[:8]})"
    )


def _skip(event: e.StageSkipped, state: JobState) -> str:
    ended = state.stages[event.because_of].status
    kinds = {
        kind
        for source, target, kind in (state.graph.all_edges() if state.graph else ())
        if (source, target) == (event.because_of, event.stage)
    }
    wanted = "fails" if EdgeKind.ON_FAILURE in kinds else "completes"
    return f"it runs only if {event.because_of} {wanted}, which was {ended}"


def _retry(event: e.StageRetryScheduled, state: JobState) -> str:
    stage = state.stages[event.stage]
    attempts = state.graph.stage(event.stage).retry.attempts if state.graph else 1
    left = attempts - (stage.attempt - stage.attempts_forgiven)
    code = stage.failure.code if stage.failure else "failed"
    pause = (event.at - stage.ended_at).total_seconds() if stage.ended_at else 0.0
    return f"{code} may pass; a pause of {span(pause)} first, {left} of {attempts} attempts left"


def _failure(event: e.StageFailed, state: JobState, after: JobState) -> str:
    stage = after.stages[event.stage]
    if event.code == e.RUNNER_LOST:
        told = "every runner that took it vanished"
    elif event.code == "deadline":
        command = state.stages[event.stage].command
        due = command.deadline if command else None
        told = f"its deadline of {due.astimezone():%H:%M:%S} passed" if due else "its time is over"
    else:
        told = event.code
    if not event.retryable:
        return f"{told}; the same again would fail again"
    more = (
        "another attempt may follow" if stage.status is StageStatus.FAILING else "no attempt left"
    )
    return f"{told}; {more}"


def _job_failure(event: e.JobFailed, state: JobState) -> str:
    stage = state.stages.get(event.stage or "")
    if stage is None or stage.failure is None:
        return event.code
    tries = stage.attempt - stage.attempts_forgiven
    spent = f"after {tries} attempts" if tries > 1 else "at once"
    return f"{stage.id} failed {spent} ({event.code}), and no stage handles it"


def _completion(state: JobState) -> str:
    counts: dict[str, int] = {}
    for stage in state.stages.values():
        how = "taken over" if stage.reused_from else str(stage.status)
        counts[how] = counts.get(how, 0) + 1
    told = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
    return f"every stage has ended well: {told}"


def _before(graph: Graph | None, stage_id: str) -> list[str]:
    edges = graph.all_edges() if graph else ()
    found = {source for source, target, _ in edges if target == stage_id}
    return [stage for stage in (graph.order() if graph else ()) if stage in found]
