"""What is enough to remember of a job that has ended, to judge the events that come after it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.events import JobRequested, JobType
from contracts.graph import Graph, RetryPolicy, Stage
from contracts.job import JobState, JobStatus, StageState, StageStatus

_Shape = tuple[tuple[str, str, int], ...]
"""Id, kind and attempts allowed of each stage."""
_Standing = tuple[tuple[StageStatus, int], ...]
"""Status and attempt of each stage."""

# The fold asks only whether there was a request.
_REQUESTED = JobRequested(type=JobType.PIPELINE, owner="someone")


@dataclass(frozen=True, slots=True)
class Remembered:
    """How a job ended. `shape` is None if it had no plan."""

    status: JobStatus
    deleted: bool
    shape: _Shape | None
    standing: _Standing

    def state(self, job: str) -> JobState:
        """A state that goes on as the job's own would."""
        shape = self.shape or ()
        stages = {
            name: StageState(id=name, kind=kind, status=status, attempt=attempt)
            for (name, kind, _), (status, attempt) in zip(shape, self.standing, strict=True)
        }
        specs = tuple(
            Stage(id=name, kind=kind, retry=RetryPolicy(attempts=attempts))
            for name, kind, attempts in shape
        )
        return JobState(
            job=job,
            status=self.status,
            deleted=self.deleted,
            request=_REQUESTED,
            graph=Graph(stages=specs) if specs else None,
            stages=stages,
        )


class Skeletons:
    """Remembers jobs, those that are alike by one and the same object."""

    def __init__(self) -> None:
        self._known: dict[Remembered, Remembered] = {}

    def remember(self, state: JobState) -> Remembered:
        """What to keep of a job that has ended."""
        graph = state.graph
        shape = tuple((s.id, s.kind, s.retry.attempts) for s in graph.stages) if graph else None
        standing = tuple(
            (state.stages[name].status, state.stages[name].attempt) for name, _, _ in shape or ()
        )
        kept = Remembered(state.status, state.deleted, shape, standing)
        return self._known.setdefault(kept, kept)
