"""Comparing the live views with the log, row by row."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contracts.queries import ListJobs
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.topology import ensure
from projector.check.comparison import Difference
from projector.check.views import check
from projector.database import Database, open_database
from projector.positions import POSITION
from projector.projections import ALL, jobs, timeline, usage
from projector_commands import lines_of, ran, started
from projector_histories import eventful_story, job_id, request, story
from projector_running import rows_in, running, tell
from sqlalchemy import delete, select, update

from contracts import subjects
from tests.support.broker import NatsServer
from tests.support.views import assert_views_match_log

CHECK = "projector.check"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def told(log: EventLog, count: int) -> int:
    last = 0
    for number in range(count):
        job = job_id(number)
        asked = request(profile=f"p-{number % 3}")
        last = await tell(log, job, eventful_story(job, asked) if number % 2 else story(job, asked))
    return last


async def filled(server: NatsServer, database_url: str) -> None:
    async with running(server, database_url) as projector:
        await projector.ready()


async def test_views_that_follow_the_log_have_no_difference_even_while_they_move(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    last = await told(log, 20)
    async with running(server, database_url) as projector:
        await projector.ready()
        process = await started(server, database_url, CHECK, "--progress", "json")
        saying, number = asyncio.create_task(lines_of(process)), 100
        while not saying.done():
            last = await tell(log, job_id(number), story(job_id(number)))
            number += 1
        lines = await saying
        assert process.returncode == 0, lines
        checked = {line["projection"]: line for line in lines if "projection" in line}
        assert set(checked) == {one.name for one in ALL}
        [position] = {line["position"] for line in checked.values()}
        assert checked["timeline"]["rows"] == position
        assert checked["jobs"]["rows"] >= 20
        assert lines[-1]["differences"] == 0
        assert lines[-1]["rows"] == sum(line["rows"] for line in checked.values())
        checked_too = await assert_views_match_log(server.address("projector"), database_url)
        assert {one.position for one in checked_too} == {last}


async def test_every_kind_of_difference_is_told_with_its_place(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    last = await told(log, 4)
    await filled(server, database_url)
    entry = timeline.TIMELINE.c
    async with database.writing() as connection:
        found = await connection.execute(select(timeline.TIMELINE).where(entry.sequence == 7))
        unheard = {**found.mappings().one(), "sequence": last + 1000}
        await database.upsert(connection, timeline.TIMELINE, [unheard])
        await connection.execute(delete(timeline.TIMELINE).where(entry.sequence == 5))
        await connection.execute(delete(timeline.TIMELINE).where(entry.sequence == last))
        edited = update(timeline.TIMELINE).where(entry.sequence == 3)
        await connection.execute(edited.values(type="Other", owner="you"))
        mine = update(jobs.JOBS).where(jobs.JOBS.c.job == job_id(2))
        await connection.execute(mine.values(progress=0.123))
    before = await rows_in(database_url)
    status, lines = await ran(server, database_url, CHECK)
    assert status == 1
    found_at: dict[tuple[str, Any, str | None], dict[str, Any]] = {
        (one["table"], next(iter(one["key"].values())), one["column"]): one
        for one in (line["difference"] for line in lines if "difference" in line)
    }
    assert set(found_at) == {
        ("timeline_v1", 3, "type"),
        ("timeline_v1", 3, "owner"),
        ("timeline_v1", 5, None),
        ("timeline_v1", last, None),
        ("timeline_v1", last + 1000, None),
        (jobs.JOBS.name, job_id(2), "progress"),
    }
    typed = found_at["timeline_v1", 3, "type"]
    assert (typed["live"], typed["projection"]) == ("Other", "timeline")
    assert typed["rebuilt"].startswith("Stage")
    assert found_at["timeline_v1", 5, None]["live"] is None
    assert found_at["timeline_v1", 5, None]["rebuilt"]["sequence"] == 5
    assert found_at["timeline_v1", last + 1000, None]["rebuilt"] is None
    assert found_at[jobs.JOBS.name, job_id(2), "progress"]["live"] == 0.123
    assert lines[-1]["differences"] == 6
    # A check mends nothing.
    assert await rows_in(database_url) == before
    status, lines = await ran(server, database_url, CHECK, "--projection", "stages")
    assert (status, lines[-1]["differences"]) == (0, 0)
    status, lines = await ran(server, database_url, CHECK, "--projection", "jobs")
    assert (status, lines[-1]["differences"]) == (1, 1)
    with pytest.raises(AssertionError, match="progress"):
        await assert_views_match_log(server.address("projector"), database_url)


async def test_an_emptied_table_and_one_that_should_be_empty_are_told(
    server: NatsServer, admin: Broker, log: EventLog, database: Database, database_url: str
) -> None:
    await told(log, 2)
    await filled(server, database_url)
    before = await rows_in(database_url)
    async with database.writing() as connection:
        await connection.execute(delete(usage.RUNS))
    differences: list[Difference] = []
    [checked] = await check(admin, database, [usage.PROJECTION], differ=differences.append)
    assert checked.rows == checked.differences == len(differences) == len(before["usage_v1"])
    assert all(one.live is None for one in differences)


async def test_projections_at_different_positions_are_each_compared_where_they_are(
    server: NatsServer, admin: Broker, log: EventLog, database: Database, database_url: str
) -> None:
    """As while a new one is being filled: rows that are not there yet are no difference."""
    last = await told(log, 3)
    await filled(server, database_url)
    async with database.writing() as connection:
        await connection.execute(delete(timeline.TIMELINE).where(timeline.TIMELINE.c.sequence > 9))
        behind = update(POSITION).where(POSITION.c.projection == "timeline")
        await connection.execute(behind.values(sequence=9))
    differences: list[Difference] = []
    checked = await check(admin, database, differ=differences.append)
    assert differences == []
    reached = {one.projection: one.position for one in checked}
    assert reached.pop("timeline") == 9
    assert set(reached.values()) == {last}


async def test_a_database_without_views_and_one_of_another_log_are_refused(
    server: NatsServer, admin: Broker, log: EventLog, database_url: str
) -> None:
    status, lines = await ran(server, database_url, CHECK)
    assert status == 1
    assert "holds nothing of audit" in lines[-1]["error"]
    assert "start the projector" in lines[-1]["remedy"]
    await told(log, 1)
    await filled(server, database_url)
    await admin.api(f"STREAM.DELETE.{subjects.JOBS}")
    await ensure(admin)
    status, lines = await ran(server, database_url, CHECK)
    assert status == 1
    assert "was created at" in lines[-1]["error"]
    status, lines = await ran(server, database_url, CHECK, "--projection", "nothing")
    assert status == 2


async def test_a_query_is_answered_while_a_check_reads(
    server: NatsServer, log: EventLog, database: Database, database_url: str
) -> None:
    """The snapshot of a check does not keep the projector from writing."""
    await told(log, 2)
    async with running(server, database_url) as projector:
        await projector.ready()
        async with database.reading() as connection:
            await connection.execute(select(POSITION))
            last = await tell(log, job_id(50), story(job_id(50)))
            await projector.ask(ListJobs(owner="me", min_position=last))
