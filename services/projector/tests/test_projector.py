"""The projector as a whole: from the log into the database and out through queries."""

import pytest
from contracts.job import JobState, JobStatus
from contracts.queries import GetJob, JobPage, ListJobs
from eventlog.log import EventLog
from eventlog.rpc import NotFoundError
from projector_histories import job_id, request, story
from projector_running import running, tell

from tests.support.broker import NatsServer


async def test_a_job_is_answered_as_the_log_tells_it(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, story(job))
        state = await projector.ask(GetJob(owner="me", job=job, min_position=last))
        assert state == await log.fold(job)
        assert isinstance(state, JobState)
        assert state.status is JobStatus.COMPLETED


async def test_what_belongs_to_another_owner_is_not_found(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    job = job_id(1)
    async with running(server, database_url) as projector:
        await projector.ready()
        last = await tell(log, job, story(job, request(owner="me")))
        with pytest.raises(NotFoundError) as theirs:
            await projector.ask(GetJob(owner="you", job=job, min_position=last))
        with pytest.raises(NotFoundError) as nobodys:
            await projector.ask(GetJob(owner="you", job="none", min_position=last))
        assert str(theirs.value) == str(nobodys.value)
        assert await projector.ask(ListJobs(owner="you", min_position=last)) == JobPage(jobs=())


async def test_jobs_are_listed_newest_first_and_page_by_page(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    jobs = [job_id(number) for number in range(5)]
    async with running(server, database_url) as projector:
        await projector.ready()
        for job in jobs:
            last = await tell(log, job, story(job)[:3])
        seen, before = [], None
        while True:
            query = ListJobs(owner="me", limit=2, before=before, min_position=last)
            page = await projector.ask(query)
            assert isinstance(page, JobPage)
            seen += [summary.job for summary in page.jobs]
            if (before := page.next_before) is None:
                break
        assert seen == jobs[::-1]
