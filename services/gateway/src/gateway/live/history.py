"""A job as it was: the fold of its events up to one of them."""

from __future__ import annotations

from contracts.fold import evolve, initial
from contracts.job import JobState
from eventlog.log import EventLog

from gateway.live import LiveJob
from gateway.problems import Problem, ProblemKind


async def as_it_was(log: EventLog, live: LiveJob, at: int) -> LiveJob:
    """A job right after the event at a sequence, as the log alone tells it.

    Problem if the job did not exist yet; a sequence between two of its events means the earlier.
    """
    state = await _fold(log, live.job, at)
    if state.request is None:
        raise Problem(
            ProblemKind.BEFORE_THE_JOB,
            f"The job did not exist yet at sequence {at}.",
            f"GET /api/jobs/{live.job}/timeline lists the sequences of its events.",
        )
    return LiveJob(state)


async def _fold(log: EventLog, job: str, at: int) -> JobState:
    state, more = initial(job), True
    while more:
        events, more = await log.read_page(job, state.sequence)
        for recorded in events:
            if recorded.sequence > at:
                return state
            state = evolve(state, recorded)
    return state
