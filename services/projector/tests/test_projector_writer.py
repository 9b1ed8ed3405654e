"""Writing in another process is writing: the same rows, the same errors, and nothing by halves."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import psutil
import pytest
from contracts.envelope import Recorded
from contracts.upcasting import UnknownEventError
from eventlog.log import LogPosition
from projector.beside import LONG
from projector.database import Database, open_database
from projector.errors import DatabaseUnavailableError, PositionMovedError, UnreadableEventError
from projector.positions import open_positions
from projector.projections import ALL, jobs
from projector.track import Track
from projector.transaction import Transaction, Writer
from projector.writer import writing
from projector_histories import BEGAN, eventful_story, job_id, recorded, request
from projector_running import rows_in

LOG: list[Recorded] = []
for _number in range(6):
    LOG += recorded(job_id(_number), eventful_story(job_id(_number), request()), len(LOG) + 1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


async def a_track(database: Database) -> Track:
    known = await open_positions(database, ALL, LogPosition(len(LOG), BEGAN))
    return Track(database, ALL, jobs.PROJECTION, known[jobs.PROJECTION.key])


async def batches(after: int, size: int = 7) -> AsyncGenerator[list[Recorded], None]:
    for first in range(after, len(LOG), size):
        yield LOG[first : first + size]


async def go(
    database: Database, track: Track, events: AsyncGenerator[list[Recorded], None] | None = None
) -> None:
    async with writing(database, LONG) as write:
        async for _ in track.follow(events or batches(track.position), write):
            pass


def writers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if is_writer(child)]


def is_writer(process: psutil.Process) -> bool:
    # A process that has ended, and for whose end nobody has waited yet, has no command any more.
    with suppress(psutil.NoSuchProcess):
        return "projector.writer" in process.cmdline()
    return False


async def test_the_same_rows_are_written_here_and_there(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    track = await a_track(database)
    async with writing(database, LONG) as write:
        ends = [part[-1].sequence async for part in track.follow(batches(0), write)]
        assert len(writers()) == 1
    assert ends[-1] == track.position == len(LOG)
    assert writers() == []
    other_url = f"sqlite+aiosqlite:///{tmp_path}/other.db"
    other = open_database(other_url)
    track = await a_track(other)
    for event in LOG:
        await track.apply([event])
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_a_short_way_needs_no_process(database: Database) -> None:
    track = await a_track(database)
    async with writing(database, len(LOG)) as write:
        async for _ in track.follow(batches(0), write):
            assert writers() == []
    assert track.position == len(LOG)


async def test_its_death_is_a_database_lost_and_the_way_goes_on_from_what_was_written(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    track = await a_track(database)

    async def go_and_lose_it() -> None:
        async with writing(database, LONG) as write:
            async for _ in track.follow(batches(0), write):
                for writer in writers():
                    os.kill(writer.pid, signal.SIGKILL)

    with pytest.raises(DatabaseUnavailableError, match="has ended"):
        await go_and_lose_it()
    track = await a_track(database)
    assert 0 < track.position < len(LOG)
    await go(database, track)
    other_url = f"sqlite+aiosqlite:///{tmp_path}/other.db"
    other = open_database(other_url)
    await (await a_track(other)).apply(LOG)
    await other.close()
    assert await rows_in(database_url) == await rows_in(other_url)


async def test_who_is_stopped_while_a_write_ends_all_the_same_does_stop(database: Database) -> None:
    track = await a_track(database)
    writes = asyncio.Event()

    async def write(transaction: Transaction) -> None:
        writes.set()
        # A driver may hear of the end only when the database has answered already.
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await transaction.carry_out(database)

    async def endless() -> AsyncGenerator[list[Recorded], None]:
        async for events in batches(0):
            yield events
        await asyncio.Event().wait()

    async def going() -> None:
        async with aclosing(track.follow(endless(), Writer(write, at_once=1))) as written:
            async for _ in written:
                pass

    task = asyncio.create_task(going())
    async with asyncio.timeout(20):
        await writes.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_who_was_overtaken_is_told_so(database: Database) -> None:
    track, faster = await a_track(database), await a_track(database)
    await faster.apply(LOG[:3])
    with pytest.raises(PositionMovedError):
        await go(database, track)


async def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    database = open_database(f"sqlite+aiosqlite:///{there}/views.db")
    track = await a_track(database)
    gone = open_database(f"sqlite+aiosqlite:///{tmp_path}/nowhere/views.db")
    with pytest.raises(DatabaseUnavailableError, match="unable to open database file"):
        await go(gone, track)
    await database.close()
    await gone.close()


async def test_what_comes_before_an_event_that_cannot_be_used_is_written(
    database: Database,
) -> None:
    async def broken() -> AsyncGenerator[list[Recorded], None]:
        yield LOG[:5]
        yield LOG[5:8]
        raise UnreadableEventError(8, UnknownEventError("of tomorrow"))

    track = await a_track(database)
    with pytest.raises(UnreadableEventError):
        await go(database, track, broken())
    assert track.position == (await a_track(database)).position == 8


async def test_who_stops_listening_leaves_no_process_and_no_task(database: Database) -> None:
    track = await a_track(database)
    before = asyncio.all_tasks()

    async def forever() -> AsyncGenerator[list[Recorded], None]:
        yield LOG[:5]
        await asyncio.Event().wait()

    async def follow() -> None:
        async with writing(database, LONG) as write:
            async for _ in track.follow(forever(), write):
                reached.set()

    reached = asyncio.Event()
    following = asyncio.create_task(follow())
    await reached.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert writers() == []
    assert asyncio.all_tasks() == before
