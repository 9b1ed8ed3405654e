"""What follows from a job's state: the planner's decisions as a pure function.

`decide` is asked after every change of a job and at the times it named itself. It answers
with the events to append, and never with an effect; commands and stops are derived from
the events when they are read back from the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.envelope import Recorded
from contracts.fold import evolve, handled_by
from contracts.graph import EdgeKind, Graph, Stage
from contracts.job import JobState, StageState, StageStatus

from contracts import events as e
from planner.domain.fleet import Fleet
from planner.domain.fork import is_fork_point, taken_over, why_no_fork
from planner.domain.graphs import IncompleteRequestError, build
from planner.domain.reuse import Lookup, input_hash, stage_seed

RUNNER_GRACE_S = 120.0
"""How long a stage that no live runner can do waits for one."""


@dataclass(frozen=True, slots=True)
class World:
    """What a decision may depend on besides the job itself."""

    now: datetime
    fleet: Fleet
    find_reusable: Lookup
    parent: JobState | None = None
    """The job that this one branches off from; needed for as long as there is no plan."""
    runner_grace_s: float = RUNNER_GRACE_S


@dataclass(frozen=True, slots=True)
class Decision:
    """Events to append, in order, and when to ask again if nothing happens before."""

    events: tuple[e.Event, ...] = ()
    wake_at: datetime | None = None


def decide(state: JobState, world: World) -> Decision:
    """Everything that follows now. Events that follow from events are decided at once."""
    decided: list[e.Event] = []
    while True:
        step = next(_steps(state, world), None)
        if not isinstance(step, e.Event):
            break
        decided.append(step)
        state = evolve(state, Recorded(state.job, step, "", "", world.now, sequence=state.sequence))
    wakes = [step for step in _steps(state, world) if isinstance(step, datetime)]
    return Decision(tuple(decided), min(wakes, default=None))


def _steps(state: JobState, world: World) -> Iterator[e.Event | datetime]:
    """What follows next: events first, then the times at which more may follow."""
    request = state.request
    if request is None or state.status.ended:
        return
    if state.cancel_requested:
        yield e.JobCancelled()
        return
    if state.graph is None:
        yield _plan(request, world)
        return
    if failed := _unhandled_failure(state, state.graph):
        yield failed
        return
    if all(stage.status.ended for stage in state.stages.values()):
        yield e.JobCompleted()
        return
    steps = [
        step for spec in state.graph.stages if (step := _stage_step(state, spec, world)) is not None
    ]
    yield from (step for step in steps if isinstance(step, e.Event))
    yield from (step for step in steps if isinstance(step, datetime))


def _unhandled_failure(state: JobState, graph: Graph) -> e.JobFailed | None:
    for stage in state.stages.values():
        failure = stage.failure
        if stage.status is StageStatus.FAILED and failure and not handled_by(graph, stage.id):
            return e.JobFailed(
                stage=stage.id, code=failure.code, cause=failure.cause, remedy=failure.remedy
            )
    return None


def _plan(request: e.JobRequested, world: World) -> e.Event:
    try:
        graph = build(request)
    except IncompleteRequestError as error:
        return e.JobFailed(code="incomplete-request", cause=error.cause, remedy=error.remedy)
    return why_no_fork(request, graph, world.parent) or e.JobPlanned(graph=graph)


def _stage_step(state: JobState, spec: Stage, world: World) -> e.Event | datetime | None:
    """The event that follows for one stage, or when to look at it again."""
    stage = state.stages[spec.id]
    match stage.status:
        case StageStatus.PENDING:
            return taken_over(state, spec, world.parent) or _begin(state, spec, world)
        case StageStatus.SCHEDULED | StageStatus.RUNNING:
            return _overdue(stage, world)
        case StageStatus.FAILING if stage.ended_at is not None:
            delay = spec.retry.delay_s(stage.attempt - stage.attempts_forgiven)
            at = stage.ended_at + timedelta(seconds=delay)
            return e.StageRetryScheduled(stage=spec.id, failed_attempt=stage.attempt, at=at)
        case StageStatus.WAITING if stage.retry_at is not None:
            return stage.retry_at if stage.retry_at > world.now else _schedule(state, spec, world)
    return None


def _begin(state: JobState, spec: Stage, world: World) -> e.Event | datetime | None:
    graph = state.graph
    for source, target, kind in graph.all_edges() if graph else ():
        if target != spec.id:
            continue
        status = state.stages[source].status
        if not status.ended:
            return None
        runs = {
            EdgeKind.NORMAL: True,
            EdgeKind.ON_SUCCESS: status is StageStatus.COMPLETED,
            EdgeKind.ON_FAILURE: status is StageStatus.FAILED,
        }[kind]
        if not runs:
            return e.StageSkipped(stage=spec.id, because_of=source)
    return _schedule(state, spec, world)


def _overdue(stage: StageState, world: World) -> e.Event | datetime | None:
    deadline = stage.command.deadline if stage.command else None
    if deadline is None or deadline > world.now:
        return deadline
    return e.StageFailed(
        stage=stage.id,
        attempt=stage.attempt,
        code="deadline",
        cause=f"{stage.id} was not done within its time",
        remedy="Look for a runner that hangs or a queue that is too long; then retry the job",
        retryable=True,
        runner=stage.runner,
    )


def _schedule(state: JobState, spec: Stage, world: World) -> e.Event | datetime | None:
    request = state.request
    if request is None:
        return None
    inputs = state.bound_inputs(spec.id)
    if missing := [n for n, b in spec.inputs.items() if n not in inputs and not b.optional]:
        return e.JobFailed(
            stage=spec.id,
            code="missing-input",
            cause=f"nothing was made that could be the {missing[0]} of {spec.id}",
            remedy="Check the graph's bindings, and that the request holds all it needs",
        )
    makers = _makers(state, spec)
    engine = world.fleet.choose(spec.kind, spec.engine, request.quality, makers)
    if engine is None:
        return _without_runner(state, spec, world)
    params = {**engine.presets.get(request.quality, {}), **spec.params}
    seed = stage_seed(request.seed, spec.id)
    digest = input_hash(request.owner, engine, params, inputs, seed)
    stage = state.stages[spec.id]
    may_reuse = stage.attempt == 0 and not is_fork_point(request, spec.id)
    if may_reuse and (earlier := world.find_reusable(digest)):
        return e.StageReused(
            stage=spec.id,
            from_job=earlier.job,
            from_stage=earlier.stage,
            input_hash=digest,
            outputs=earlier.outputs,
            metrics=dict(earlier.metrics),
        )
    deadline = world.now + timedelta(seconds=spec.deadline_s) if spec.deadline_s else None
    return e.StageScheduled(
        stage=spec.id,
        attempt=stage.attempt + 1,
        kind=spec.kind,
        engine=engine.engine,
        engine_version=engine.version,
        lane=engine.lane,
        params=params,
        inputs=inputs,
        input_hash=digest,
        seed=seed,
        deadline=deadline,
    )


def _makers(state: JobState, spec: Stage) -> frozenset[str]:
    """The engines that made what a stage takes in, as far as this job tells."""
    stages = {binding.stage for binding in spec.inputs.values() if binding.stage}
    commands = (state.stages[stage].command for stage in stages)
    done = {command.engine for command in commands if command}
    asked = {one.engine for one in state.graph.stages if one.id in stages} if state.graph else set()
    return frozenset(done | {name for name in asked if name})


def _without_runner(state: JobState, spec: Stage, world: World) -> e.Event | datetime | None:
    """Wait for a runner for as long as grace is given, then say what is missing."""
    waiting_since = max(state.updated_at or world.now, world.fleet.known_since)
    give_up_at = waiting_since + timedelta(seconds=world.runner_grace_s)
    if world.now < give_up_at:
        return give_up_at
    code, cause, remedy = world.fleet.why_none(spec.kind, spec.engine)
    return e.JobFailed(stage=spec.id, code=code, cause=cause, remedy=remedy)
