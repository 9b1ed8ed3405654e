"""What a forked job takes over from the one it branches off from.

The stage it forks from is done anew, always: that is what was asked for. What neither is that
stage nor follows from it is taken over as it was made, whatever the new request says of it,
and what follows is decided as in any job.
"""

from __future__ import annotations

from contracts.graph import Graph, Stage
from contracts.job import JobState, StageStatus

from contracts import events as e


def why_no_fork(
    request: e.JobRequested, graph: Graph, parent: JobState | None
) -> e.JobFailed | None:
    """Why the job cannot branch off as it was asked to; None if it can, or is no fork."""
    fork = request.forked_from
    if fork is None:
        return None
    if parent is None or parent.request is None or parent.deleted:
        return _no_parent(fork)
    if parent.request.owner != request.owner:
        # In the same words, so that nobody learns of another owner's jobs.
        return _no_parent(fork)
    here = {stage.id for stage in graph.stages}
    if fork.stage not in here or fork.stage not in parent.stages:
        known = ", ".join(stage for stage in graph.order() if stage in parent.stages)
        return e.JobFailed(
            code="fork-stage-unknown",
            cause=f"job {fork.job} and this one have no stage {fork.stage} in common",
            remedy=f"Fork from one of {known}" if known else "Start a new job instead",
        )
    return None


def _no_parent(fork: e.Fork) -> e.JobFailed:
    return e.JobFailed(
        code="fork-parent-unknown",
        cause=f"there is no job {fork.job} to fork from, or it was deleted",
        remedy="Fork from a job that is there, or start a new one",
    )


def taken_over(state: JobState, spec: Stage, parent: JobState | None) -> e.StageReused | None:
    """The parent's outputs for a stage of a fork, if it takes that stage over.

    What the parent has not completed is decided as in any job.
    """
    request, graph = state.request, state.graph
    if request is None or graph is None or request.forked_from is None or parent is None:
        return None
    if spec.id in {request.forked_from.stage} | graph.descendants(request.forked_from.stage):
        return None
    made = parent.stages.get(spec.id)
    if made is None or made.status is not StageStatus.COMPLETED or made.kind != spec.kind:
        return None
    if made.input_hash is None:
        return None
    return e.StageReused(
        stage=spec.id,
        from_job=parent.job,
        from_stage=spec.id,
        input_hash=made.input_hash,
        outputs=made.outputs,
        metrics=made.metrics,
    )


def is_fork_point(request: e.JobRequested, stage: str) -> bool:
    """Whether a fork was asked for to have this stage done anew."""
    return request.forked_from is not None and request.forked_from.stage == stage
