"""Starting on the database of the former version, as every user does who updates.

`former_views.sql` is what the version before deletions and forks had made of two of the
recorded histories.
"""

import sqlite3
from pathlib import Path

from contracts.job import JobState, Outcome
from contracts.queries import GetJob, GetStats, GetUsage, JobPage, ListJobs, Usage
from eventlog.broker import Broker
from eventlog.log import EventLog
from projector_running import rows_in, running

from tests.support.broker import NatsServer
from tests.support.histories import HISTORIES, load

FORMER = Path(__file__).with_name("former_views.sql")
TOLD = ("no-face-retried", "cancelled")


async def test_the_views_of_the_former_version_are_filled_anew_beside_the_old(
    server: NatsServer, admin: Broker, log: EventLog, tmp_path: Path
) -> None:
    jobs = []
    for name in TOLD:
        last = 0
        for recorded in load(HISTORIES / f"{name}.jsonl"):
            last = await log.append([recorded], expected=last)
        jobs.append(recorded.job)
    created = (await log.position()).created
    with sqlite3.connect(tmp_path / "views.db") as former:
        former.executescript(FORMER.read_text())
        zoneless = created.strftime("%Y-%m-%d %H:%M:%S.%f")
        former.execute("UPDATE position SET stream_created = ?", (zoneless,))
        old_rows = former.execute("SELECT * FROM jobs_v1 ORDER BY job").fetchall()
        [(position,)] = former.execute("SELECT sequence FROM position WHERE projection = 'jobs'")
    assert len(old_rows) == len(TOLD)
    assert position == last
    url = f"sqlite+aiosqlite:///{tmp_path}/views.db"
    async with running(server, url) as projector:
        await projector.ready()
        page = await projector.ask(ListJobs(owner="local", min_position=last))
        assert isinstance(page, JobPage)
        assert {job.job for job in page.jobs} == set(jobs)
        state = await projector.ask(GetJob(owner="local", job=jobs[1]))
        assert isinstance(state, JobState)
        assert state == await log.fold(jobs[1])
        assert Outcome.STOPPED in {
            attempt.outcome for stage in state.stages.values() for attempt in stage.attempts
        }
        usage = await projector.ask(GetUsage(owner="local"))
        assert isinstance(usage, Usage)
        assert usage.objects > 0
        await projector.ask(GetStats(owner="local"))
    fresh = f"sqlite+aiosqlite:///{tmp_path}/fresh.db"
    async with running(server, fresh) as projector:
        await projector.ready()
    updated = await rows_in(url)
    # The old tables stay as they were, with their positions, for whoever goes back.
    current = await rows_in(fresh)
    positions = [set(rows.pop("position")) for rows in (updated, current)]
    assert positions[1] < positions[0]
    assert updated == current
    with sqlite3.connect(tmp_path / "views.db") as former:
        assert former.execute("SELECT * FROM jobs_v1 ORDER BY job").fetchall() == old_rows
