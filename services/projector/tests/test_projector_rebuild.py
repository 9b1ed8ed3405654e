"""Rebuilding beside the live views and switching, while the projector works and answers."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from contracts.queries import DailyUsage, GetTimeline, JobPage, ListDailyUsage, ListJobs, Timeline
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.topology import ensure
from projector.database import Database, open_database
from projector.errors import DatabaseUnavailableError, UnderWayError
from projector.positions import POSITION
from projector.projections import ALL, jobs, stages, timeline, usage
from projector.rebuild.lock import exclusive
from projector.rebuild.whole import rebuild
from projector_commands import lines_of, ran, started
from projector_histories import eventful_story, job_id, request, story
from projector_running import rows_in, running, tell
from servicekit.failpoints import Action, Failpoint, Trap
from sqlalchemy import Table, delete, event, inspect, select, text, update

from contracts import subjects
from tests.support.broker import NatsServer
from tests.support.views import assert_views_match_log

pytestmark = pytest.mark.long

REBUILD = "projector.rebuild"
NAMES = [one.name for one in ALL]
EVERYTHING = [word for name in NAMES for word in ("--projection", name)]


async def tables_in(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def rows_of(database: Database, table: Table) -> list[tuple[object, ...]]:
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(select(table))]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def told(log: EventLog, count: int, first: int = 0) -> int:
    """Jobs that were told, and the last sequence."""
    last = 0
    for number in range(first, first + count):
        job = job_id(number)
        asked = request(profile=f"p-{number % 3}")
        last = await tell(log, job, eventful_story(job, asked) if number % 2 else story(job, asked))
    return last


async def filled(server: NatsServer, database_url: str) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()


async def test_views_that_somebody_has_edited_are_right_again_and_nothing_is_left_beside_them(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    last = await told(log, 6)
    await filled(server, database_url)
    right, tables = await rows_in(database_url), await tables_in(database)
    entry = timeline.TIMELINE.c
    async with database.writing() as connection:
        found = await connection.execute(select(timeline.TIMELINE).where(entry.sequence == 7))
        unheard = {**found.mappings().one(), "sequence": last + 1000}
        await database.upsert(connection, timeline.TIMELINE, [unheard])
        await connection.execute(delete(timeline.TIMELINE).where(entry.sequence == 5))
        edited = update(timeline.TIMELINE).where(entry.sequence == 3)
        await connection.execute(edited.values(type="Other"))
        await connection.execute(update(jobs.JOBS).values(failure=None, progress=0.5))
        await connection.execute(delete(usage.RUNS))
    status, lines = await ran(server, database_url, REBUILD, *EVERYTHING)
    assert status == 0
    done = {line["projection"]: line for line in lines if "done" in line}
    assert list(done) == NAMES
    assert {line["position"] for line in done.values()} == {last}
    assert (done["timeline"]["written"], done["timeline"]["removed"]) == (2, 1)
    assert (done["jobs"]["written"], done["jobs"]["removed"]) == (6, 0)
    assert (done["stages"]["written"], done["stages"]["removed"]) == (0, 0)
    steps = [line for line in lines if "done" not in line]
    assert all(0 <= line["position"] <= line["end"] == last for line in steps)
    assert await rows_in(database_url) == right
    assert await tables_in(database) == tables


@pytest.mark.parametrize("name", ["timeline", "jobs", "usage"])
async def test_whoever_asks_during_a_rebuild_sees_whole_and_growing_views(
    server: NatsServer, log: EventLog, database_url: str, name: str
) -> None:
    last = await told(log, 40)
    until = {"since": "2026-01-01", "until": "9999-12-31"}
    async with running(server, database_url) as projector:
        await projector.ready()
        process = await started(
            server, database_url, REBUILD, "--projection", name, "--progress", "json"
        )
        saying = asyncio.create_task(lines_of(process))
        number, seconds, answers = 100, 0.0, 0
        while not saying.done() or answers < 3:
            # What is told meanwhile is seen at once, and nothing that was there is missing.
            last = await tell(log, job_id(number), story(job_id(number), request("me")))
            number += 1
            page = await projector.ask(ListJobs(owner="me", limit=200, min_position=last))
            assert isinstance(page, JobPage)
            assert len(page.jobs) == min(40 + number - 100, 200)
            whole = await projector.ask(GetTimeline(owner="me", job=job_id(0)))
            assert isinstance(whole, Timeline)
            assert len(whole.events) == len(story(job_id(0)))
            used = await projector.ask(
                ListDailyUsage.model_validate({"owner": "me", "min_position": last, **until})
            )
            assert isinstance(used, DailyUsage)
            now = sum(sum(day.device_s.values()) for day in used.days)
            assert now > seconds
            seconds, answers = now, answers + 1
        lines = await saying
        assert process.returncode == 0, lines
        assert (lines[-1]["written"], lines[-1]["removed"]) == (0, 0)
        await projector.ask(ListJobs(owner="me", min_position=last))
        await assert_views_match_log(server.address("projector"), database_url)


async def killed_on_its_way(
    server: NatsServer, database: Database, database_url: str, name: str
) -> int:
    """A rebuild that dies when it has come some way; returns how far."""
    trap = Trap(Failpoint.PROJECTOR_AFTER_COMMIT, Action.KILL, nth=2)
    process = await started(
        server, database_url, REBUILD, "--projection", name, MYSPINBOT_FAILPOINTS=str(trap)
    )
    assert await process.wait() == -signal.SIGKILL
    async with database.reading() as connection:
        wanted = select(POSITION.c.sequence).where(POSITION.c.projection == f"{name}_rebuild")
        return int((await connection.execute(wanted)).scalar_one())


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    last = await told(log, 240)
    await filled(server, database_url)
    right = await rows_in(database_url)
    position = await killed_on_its_way(server, database, database_url, "timeline")
    assert 0 < position < last
    rows = await rows_in(database_url)
    assert {row for row in rows.pop(POSITION.name) if "_rebuild" not in str(row[0])} == set(
        right[POSITION.name]
    )
    assert rows == {name: rows for name, rows in right.items() if name != POSITION.name}
    status, lines = await ran(server, database_url, REBUILD, "--projection", "timeline")
    assert status == 0
    assert lines[0]["position"] == position
    assert lines[-1]["events"] == last - position
    assert await rows_in(database_url) == right


async def test_a_projection_can_be_filled_before_any_projector_knows_it(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    last = await told(log, 10)
    status, lines = await ran(server, database_url, REBUILD, "--projection", "stages")
    assert (status, lines[-1]["position"]) == (0, last)
    filled_alone = await rows_of(database, stages.STAGES)
    await told(log, 10, first=10)
    await filled(server, database_url)
    assert set(filled_alone) < set(await rows_of(database, stages.STAGES))
    await assert_views_match_log(server.address("projector"), database_url)


async def test_a_rebuild_can_begin_anew_where_another_was_interrupted(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    last = await told(log, 240)
    await filled(server, database_url)
    assert await killed_on_its_way(server, database, database_url, "jobs") < last
    status, lines = await ran(server, database_url, REBUILD, "--projection", "jobs", "--fresh")
    assert (status, lines[-1]["events"]) == (0, last)


async def test_of_two_rebuilds_of_one_projection_the_second_is_refused(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    await told(log, 2)
    await filled(server, database_url)
    async with exclusive(database, "timeline"):
        status, lines = await ran(server, database_url, REBUILD, "--projection", "timeline")
        assert status == 1
        assert lines[-1]["error"] == "a rebuild of timeline is under way already"
        assert "wait for it" in lines[-1]["remedy"]
        # Another one is not in its way.
        assert (await ran(server, database_url, REBUILD, "--projection", "stages"))[0] == 0
    assert (await ran(server, database_url, REBUILD, "--projection", "timeline"))[0] == 0


async def test_a_lock_is_gone_with_its_holder_and_can_be_taken_many_times(
    database: Database,
) -> None:
    for _ in range(3):
        async with exclusive(database, "timeline"):
            with pytest.raises(UnderWayError):
                async with exclusive(database, "timeline"):
                    pytest.fail("it was given twice")


async def test_a_full_disk_ends_a_rebuild_with_a_clear_word_and_leaves_the_live_views(
    server: NatsServer, admin: Broker, log: EventLog, tmp_path: object
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/views.db"
    await told(log, 60)
    await filled(server, url)
    right = await rows_in(url)
    small = open_database(url)

    def limit(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count={cursor.fetchone()[0] + 20}")
        cursor.close()

    event.listen(small.engine.sync_engine, "connect", limit)
    tables = await tables_in(small)
    with pytest.raises(DatabaseUnavailableError, match=r"full.*disk has room") as refused:
        await rebuild(admin, small, timeline.PROJECTION)
    assert refused.value.full
    assert await tables_in(small) == tables
    assert await rows_in(url) == right
    await small.close()
    async with running(server, url) as projector:
        await projector.ready()
        last = await told(log, 1, first=99)
        await projector.ask(ListJobs(owner="me", min_position=last))
    assert (await ran(server, url, REBUILD, "--projection", "timeline"))[0] == 0


@pytest.mark.parametrize("name", NAMES)
async def test_the_rows_of_one_job_are_made_anew_and_no_others(
    server: NatsServer, log: EventLog, database: Database, database_url: str, name: str
) -> None:
    [projection] = [one for one in ALL if one.name == name]
    last = await told(log, 4)
    await filled(server, database_url)
    right = await rows_in(database_url)
    async with database.writing() as connection:
        for table in projection.tables:
            await connection.execute(delete(table).where(table.c.job <= job_id(1)))
    status, lines = await ran(
        server, database_url, REBUILD, "--projection", name, "--job", job_id(1)
    )
    assert status == 0
    mended = await rows_in(database_url)
    for table in projection.tables:
        place = list(table.columns.keys()).index("job")
        expected = [row for row in right[table.name] if row[place] != job_id(0)]
        assert mended[table.name] == expected
    assert mended[POSITION.name] == right[POSITION.name]
    assert lines[-1]["position"] == last
    status, lines = await ran(
        server, database_url, REBUILD, "--projection", name, "--job", job_id(1)
    )
    assert (lines[-1]["written"], lines[-1]["removed"]) == (0, 0)


async def test_a_row_that_no_event_tells_of_goes_with_the_rebuild_of_its_job(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    await told(log, 1)
    await filled(server, database_url)
    right = await rows_in(database_url)
    async with database.writing() as connection:
        row = (await connection.execute(select(usage.RUNS).limit(1))).mappings().one()
        await database.upsert(connection, usage.RUNS, [{**row, "attempt": 77}])
    status, lines = await ran(
        server, database_url, REBUILD, "--projection", "usage", "--job", job_id(0)
    )
    assert (status, lines[-1]["written"], lines[-1]["removed"]) == (0, 0, 1)
    assert await rows_in(database_url) == right


async def test_a_job_that_the_log_does_not_know_is_refused(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    await told(log, 1)
    await filled(server, database_url)
    right = await rows_in(database_url)
    status, lines = await ran(
        server, database_url, REBUILD, "--projection", "jobs", "--job", "nobody"
    )
    assert status == 1
    assert "no event of a job 'nobody'" in lines[-1]["error"]
    assert await rows_in(database_url) == right


async def test_a_rebuild_from_another_log_is_refused_and_the_views_stay(
    server: NatsServer, admin: Broker, log: EventLog, database: Database, database_url: str
) -> None:
    await told(log, 2)
    await filled(server, database_url)
    right, tables = await rows_in(database_url), await tables_in(database)
    await admin.api(f"STREAM.DELETE.{subjects.JOBS}")
    await ensure(admin)
    for more in ([], ["--job", job_id(1)]):
        status, lines = await ran(server, database_url, REBUILD, "--projection", "jobs", *more)
        assert status == 1
        assert "another log" in lines[-1]["error"] or "was created at" in lines[-1]["error"]
        assert "empty database" in lines[-1]["remedy"]
    assert await rows_in(database_url) == right
    assert await tables_in(database) == tables


async def test_a_broker_that_is_away_is_named(server: NatsServer, database_url: str) -> None:
    server.kill()
    status, lines = await ran(server, database_url, REBUILD, "--projection", "jobs")
    assert status == 1
    assert "MYSPINBOT_NATS_URL" in lines[-1]["remedy"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a --projection"),
        (["--projection", "nothing"], "no projection 'nothing'"),
        (["--projection", "jobs", "--job", "a", "--fresh"], "--fresh"),
        (["--everything"], "--everything"),
    ],
)
async def test_misuse_is_told_and_nothing_is_touched(
    server: NatsServer, tmp_path: object, arguments: list[str], said: str
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/views.db"
    status, lines = await ran(server, url, REBUILD, *arguments)
    assert status == 2
    assert said in lines[-1]["error"]
    assert lines[-1]["remedy"]


async def test_a_setting_that_is_missing_or_wrong_is_told(server: NatsServer) -> None:
    status, lines = await ran(server, "mysql://somewhere/db", REBUILD, "--projection", "jobs")
    assert status == 2
    assert "sqlite+aiosqlite" in lines[-1]["remedy"]
    status, lines = await ran(
        server, "", REBUILD, "--projection", "jobs", MYSPINBOT_DATABASE_URL="nonsense"
    )
    assert status == 2


async def test_tables_of_versions_that_nobody_knows_any_more_can_be_dropped(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    await told(log, 2)
    await filled(server, database_url)
    right, tables = await rows_in(database_url), await tables_in(database)
    async with database.writing() as connection:
        for table in ("jobs_v1", "deadletters_settled_v0", "artifacts_v1", "somebodys_v1", "notes"):
            await connection.execute(text(f"CREATE TABLE {table} (job TEXT)"))
        known = (await connection.execute(select(POSITION).limit(1))).mappings().one()
        of_old = [("jobs", 1), ("deadletters", 0), ("artifacts", 1), ("timeline_rebuild", 1)]
        old = [{**known, "projection": name, "version": version} for name, version in of_old]
        await database.upsert(connection, POSITION, old)
    status, lines = await ran(server, database_url, REBUILD, "--drop-old")
    assert status == 0
    assert lines == [{"dropped": ["artifacts_v1", "deadletters_settled_v0", "jobs_v1"]}]
    assert await tables_in(database) == tables | {"somebodys_v1", "notes"}
    left = await rows_in(database_url)
    # A rebuild of what is current may still go on.
    assert [row for row in left[POSITION.name] if row[0] == "timeline_rebuild"]
    async with database.writing() as connection:
        await connection.execute(
            delete(POSITION).where(POSITION.c.projection == "timeline_rebuild")
        )
    assert await rows_in(database_url) == right
    status, lines = await ran(server, database_url, REBUILD, "--drop-old")
    assert lines == [{"dropped": []}]
