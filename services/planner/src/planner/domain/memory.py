"""What the planner remembers of the log: the jobs that have not ended, and what may be reused.

It is a fold of the whole log, and nothing else: a planner that has read as far remembers the
same, whenever it was started.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState

from contracts import events as e
from planner.domain.reuse import Reusable, ReusableStages


class Memory:
    """The states of active jobs, and the outputs of completed stages, up to `position`."""

    def __init__(
        self,
        position: int = 0,
        jobs: Iterable[JobState] = (),
        reusable: Mapping[str, Iterable[Reusable]] | None = None,
    ) -> None:
        self.position = position
        self.jobs: dict[str, JobState] = {state.job: state for state in jobs}
        self.reusable = ReusableStages()
        for digest, holders in (reusable or {}).items():
            for holder in holders:
                self.reusable.add(digest, holder)

    def lacks(self, recorded: Recorded) -> bool:
        """Whether the job's earlier events are needed, as it had ended and begins again."""
        return recorded.job not in self.jobs and isinstance(recorded.event, e.JobRetryRequested)

    def before(self, recorded: Recorded) -> JobState:
        """The job as it is remembered; that it has ended is not."""
        return self.jobs.get(recorded.job) or initial(recorded.job)

    def take(self, recorded: Recorded, before: JobState) -> JobState:
        """Take in an event of a job that was `before`; the job as it is then."""
        after = evolve(before, recorded)
        self.position = max(self.position, recorded.sequence)
        if after.status.ended or after.request is None:
            self.jobs.pop(recorded.job, None)
        else:
            self.jobs[recorded.job] = after
        event = recorded.event
        if isinstance(event, e.StageCompleted | e.StageReused):
            stage = after.stages.get(event.stage)
            if stage and stage.input_hash and stage.outputs == event.outputs:
                made = Reusable(after.job, stage.id, stage.outputs, stage.metrics)
                self.reusable.add(stage.input_hash, made)
        if isinstance(event, e.JobDeleted) and recorded.job not in self.jobs:
            # Ended jobs are not kept here, and only those can be deleted.
            self.reusable.drop(recorded.job)
        return after
