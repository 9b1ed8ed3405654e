"""A person goes: the training, and every job that was made with what it has learnt.

The wish is one event in the log, and all else follows from it, whatever dies meanwhile. So it also
reaches a job that somebody else asked for in that very moment.
"""

from __future__ import annotations

from contracts.envelope import Recorded
from contracts.events import JobCancelRequested, JobDeleted, JobRequested, ProfileErased
from contracts.job import JobState
from contracts.queries import JobPage, JobSummary, ListJobs
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from eventlog.rpc import ask

from contracts import subjects
from gateway.chores import Chore
from gateway.erasure import let_settle

_PAGE = 200


class StillRunningError(EventLogError):
    """Jobs of a person who is to go have been told to stop, and have not ended yet."""

    def __init__(self, jobs: list[str]) -> None:
        super().__init__(f"to be deleted once they have stopped: {', '.join(jobs)}")


def erasing_people(broker: Broker, log: EventLog) -> Chore:
    """The chore that follows from ProfileErased, and from a job that came too late for it."""

    async def erase(recorded: Recorded) -> None:
        match recorded.event:
            case ProfileErased(by=owner):
                # Whoever was asked is at it; this is for when he dies.
                let_settle(recorded)
                found = await made_with(broker, recorded.job, owner, recorded.sequence)
                jobs = [summary.job for summary in found]
            case JobRequested(profile=str() as profile, owner=owner) if profile != recorded.job:
                jobs = [recorded.job] if await _is_erased(log, profile, owner) else []
            case _:
                return
        running = [job for job in jobs if not (await delete(log, job, owner)).deleted]
        if running:
            raise StillRunningError(running)

    return erase


async def made_with(
    broker: Broker, profile: str, owner: str, min_position: int
) -> list[JobSummary]:
    """Every job of a profile that is not deleted, its training among them, newest first."""
    found: list[JobSummary] = []
    before: str | None = None
    while True:
        query = ListJobs(
            owner=owner, profile=profile, before=before, limit=_PAGE, min_position=min_position
        )
        page, _ = await ask(broker, query, JobPage)
        found += page.jobs
        before = page.next_before
        if before is None:
            return found


async def delete(log: EventLog, job: str, owner: str) -> JobState:
    """Delete a job, or stop it first if it runs; the job as it is then."""
    state = await log.fold(job)
    if state.status.ended and not state.deleted:
        await log.tell(job, JobDeleted(by=owner))
        state = await log.fold(job, state)
    # Somebody may have asked for a retry in the same moment.
    if not state.deleted and not state.cancel_requested:
        await log.tell(job, JobCancelRequested(by=owner))
    return state


async def _is_erased(log: EventLog, profile: str, owner: str) -> bool:
    stored = await log.last(subjects.event(profile, ProfileErased.type_name()))
    event = stored.recorded().event if stored else None
    return isinstance(event, ProfileErased) and event.by == owner
