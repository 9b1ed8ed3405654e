"""Exactly once, whatever dies, and no word when the log is another: on both databases."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from contracts.envelope import Recorded
from contracts.queries import GetJob
from eventlog.log import LogPosition
from projector.answers import Answers, Progress
from projector.catch_up import level
from projector.database import Database, Parameters, open_database
from projector.errors import (
    DatabaseUnavailableError,
    LogReplacedError,
    LogTooShortError,
    PositionMovedError,
    UnsupportedDatabaseError,
)
from projector.positions import open_positions, reset
from projector.projection import Projection
from projector.projections import ALL, jobs, profiles, stages
from projector.track import BATCH, Track
from projector_histories import BEGAN, eventful_story, job_id, recorded, request, story
from projector_running import rows_in
from sqlalchemy import Column, MetaData, Table, Text, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.ports import free_ports

KEPT = (*ALL, jobs.SCRATCH)


def a_log(count: int = 12) -> list[Recorded]:
    """Some jobs, the events of each pair of them told by turns."""
    log: list[Recorded] = []
    for number in range(0, count, 2):
        pair = [job_id(number), job_id(number + 1)]
        asked = request(owner=f"owner-{number % 3}", profile=f"profile-{number % 4}")
        told = [
            [(pair[0], event) for event in eventful_story(pair[0], asked)],
            [(pair[1], event) for event in story(pair[1], asked)],
        ]
        while any(told):
            for mine in told:
                if mine:
                    job, event = mine.pop(0)
                    log.extend(recorded(job, [event], len(log) + 1))
    return log


LOG = a_log()
WHOLE = LogPosition(len(LOG), BEGAN)


async def read(after: int) -> AsyncGenerator[list[Recorded], None]:
    for first in range(after, len(LOG), 40):
        yield LOG[first : first + 40]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def a_track(
    database: Database, projections: Sequence[Projection] = ALL, log: LogPosition = WHOLE
) -> Track:
    known = await open_positions(database, (*projections, jobs.SCRATCH), log)
    return await level(database, projections, known, read)


async def follow(track: Track, end: int = len(LOG), size: int = 40) -> None:
    while track.position < end:
        await track.apply(LOG[track.position : min(track.position + size, end)])


async def test_views_made_in_one_go_and_event_by_event_are_equal(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await follow(await a_track(database), size=1)
    other_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('other')}/views.db"
    other = open_database(other_url)
    await follow(await a_track(other), size=BATCH)
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_a_restart_at_any_event_changes_nothing(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for stop in range(7, len(LOG) + 7, 7):
        await follow(await a_track(database), end=min(stop, len(LOG)), size=5)
    other_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('other')}/views.db"
    other = open_database(other_url)
    await follow(await a_track(other))
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


class Dying(Database):
    """A database whose process dies while it writes the last table of a batch."""

    async def put(self, connection: AsyncConnection, sql: str, parameters: Parameters) -> None:
        await super().put(connection, sql, parameters)
        if "INTO timeline" in sql:
            raise asyncio.CancelledError


async def test_a_death_before_the_commit_leaves_neither_rows_nor_position(
    database: Database, database_url: str
) -> None:
    await follow(await a_track(database), end=50)
    before = await rows_in(database_url)
    dying = Dying(database.engine, database.readers, database.insert)
    with pytest.raises(asyncio.CancelledError):
        await follow(await a_track(dying))
    assert await rows_in(database_url) == before


async def test_of_two_projectors_on_one_database_one_is_told_that_it_was_overtaken(
    database: Database, database_url: str
) -> None:
    first, second = await a_track(database), await a_track(database)
    await follow(first, end=40)
    before = await rows_in(database_url)
    with pytest.raises(PositionMovedError):
        await follow(second, end=60)
    assert await rows_in(database_url) == before
    assert (await a_track(database)).position == 40


async def test_two_projectors_that_race_write_every_event_once(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def race() -> None:
        while True:
            try:
                await follow(await a_track(database), size=9)
            except PositionMovedError:
                continue
            return

    await a_track(database)
    await asyncio.gather(race(), race())
    other_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('other')}/views.db"
    other = open_database(other_url)
    await follow(await a_track(other))
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_a_position_never_goes_back(database: Database) -> None:
    track = await a_track(database)
    await follow(track, end=20)
    with pytest.raises(ValueError, match="from 20 to 10"):
        await track.apply(LOG[:10])


@pytest.mark.parametrize("late", [(stages.PROJECTION, profiles.PROJECTION), (jobs.PROJECTION,)])
async def test_a_projection_that_came_later_is_filled_like_the_others(
    database: Database,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    late: tuple[Projection, ...],
) -> None:
    early = tuple(one for one in ALL if one not in late)
    known = await open_positions(database, KEPT, WHOLE)
    if jobs.PROJECTION in early:
        await follow(Track(database, early, jobs.PROJECTION, known[jobs.PROJECTION.key]), end=100)
    else:
        carried = (*early, jobs.SCRATCH)
        await follow(Track(database, carried, jobs.SCRATCH, 0), end=100)
    await follow(await a_track(database))
    other_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('other')}/views.db"
    other = open_database(other_url)
    await follow(await a_track(other))
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_projections_that_are_at_different_places_are_each_carried_on_from_there(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    known = await open_positions(database, KEPT, WHOLE)
    for one, end in ((stages.PROJECTION, 40), (profiles.PROJECTION, 80)):
        # As a rebuild fills one: the states of its jobs are gone afterwards.
        await follow(Track(database, [one, jobs.SCRATCH], jobs.SCRATCH, 0), end=end)
        async with database.writing() as connection:
            await reset(connection, [jobs.SCRATCH])
            await connection.execute(delete(jobs.SCRATCH.tables[0]))
    others = tuple(one for one in ALL if one not in (stages.PROJECTION, profiles.PROJECTION))
    await follow(Track(database, others, jobs.PROJECTION, known[jobs.PROJECTION.key]))
    assert (await a_track(database)).position == len(LOG)
    other_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('other')}/views.db"
    other = open_database(other_url)
    await follow(await a_track(other))
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_filling_goes_on_where_it_was_interrupted(database: Database) -> None:
    late = stages.PROJECTION
    known = await open_positions(database, KEPT, WHOLE)
    others = tuple(one for one in ALL if one is not late)
    await follow(Track(database, others, jobs.PROJECTION, 0))
    begun: list[int] = []

    async def interrupted(after: int) -> AsyncGenerator[list[Recorded], None]:
        begun.append(after)
        async for events in read(after):
            if events[-1].sequence > 100 and len(begun) == 1:
                raise asyncio.CancelledError
            yield events

    known = await open_positions(database, KEPT, WHOLE)
    with pytest.raises(asyncio.CancelledError):
        await level(database, ALL, known, interrupted)
    known = await open_positions(database, KEPT, WHOLE)
    assert (await level(database, ALL, known, interrupted)).position == len(LOG)
    assert begun == [0, 80]


async def test_a_table_of_keys_alone_can_be_written_again_and_again(database: Database) -> None:
    keys = Table("keys_alone", MetaData(), Column("job", Text, primary_key=True))
    await database.create(keys.metadata, [keys])
    rows = [{"job": job_id(1)}, {"job": job_id(2)}]
    for _ in range(2):
        async with database.writing() as connection:
            await database.upsert(connection, keys, rows)
    async with database.reading() as connection:
        assert list((await connection.execute(select(keys))).mappings()) == rows


async def test_a_log_that_was_created_anew_is_refused(database: Database) -> None:
    await follow(await a_track(database), end=40)
    anew = replace(WHOLE, created=BEGAN + timedelta(days=1))
    with pytest.raises(LogReplacedError, match="empty database"):
        await a_track(database, log=anew)


async def test_a_log_that_is_shorter_than_the_views_is_refused(database: Database) -> None:
    await follow(await a_track(database), end=40)
    with pytest.raises(LogTooShortError, match="event 40, but the log ends at 39"):
        await a_track(database, log=replace(WHOLE, last_sequence=39))


async def test_a_query_ahead_of_the_views_is_told_that_they_are_behind(
    database: Database,
) -> None:
    await follow(await a_track(database), end=40)
    answers = Answers(database, ALL, Progress(), patience_s=0.01)
    answer = await answers(GetJob(owner="owner-0", job=LOG[0].job, min_position=41))
    assert answer.error is not None
    assert answer.error.code == "behind"
    assert answer.position == 40
    answer = await answers(GetJob(owner="owner-0", job=LOG[0].job, min_position=40))
    assert answer.error is None


async def test_a_query_waits_until_the_views_have_what_it_asks_for(database: Database) -> None:
    progress = Progress()
    track = await a_track(database)
    query = GetJob(owner="owner-0", job=LOG[0].job, min_position=40)
    answer = asyncio.ensure_future(Answers(database, ALL, progress, patience_s=30)(query))
    await follow(track, end=40)
    await progress.reached(track.position)
    assert (await answer).position == 40


async def test_a_database_that_cannot_be_reached_is_named_with_what_to_do() -> None:
    (port,) = free_ports(1)
    database = open_database(f"postgresql+asyncpg://tester@127.0.0.1:{port}/views")
    with pytest.raises(DatabaseUnavailableError, match="MYSPINBOT_DATABASE_URL"):
        await a_track(database)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://somewhere/db", "sqlite:///views.db", "nonsense"])
def test_a_database_of_another_kind_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnsupportedDatabaseError, match="sqlite\\+aiosqlite"):
        open_database(url)
