"""Two versions of a projection on one database: filled beside each other, neither in the way."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.queries import JobPage, ListJobs
from eventlog.log import EventLog
from projector.database import Database, open_database
from projector.positions import POSITION
from projector.projections import ALL, stages
from projector_commands import ran
from projector_copies import copied, first_in_path
from projector_histories import eventful_story, job_id, request, story
from projector_running import environment, running, tell
from sqlalchemy import column, select, table

from tests.support.broker import NatsServer
from tests.support.ports import free_ports
from tests.support.views import assert_views_match_log

NEXT = stages.PROJECTION.version + 1


@asynccontextmanager
async def the_next_version(
    server: NatsServer, database_url: str, folder: Path
) -> AsyncIterator[Process]:
    """A projector whose stages are of the next version."""
    path = copied(folder) / "projections" / "stages.py"
    source = path.read_text()
    changed = source.replace(f'"stages_v{NEXT - 1}"', f'"stages_v{NEXT}"').replace(
        f'Projection("stages", {NEXT - 1}', f'Projection("stages", {NEXT}'
    )
    assert changed.count(str(NEXT)) >= source.count(str(NEXT)) + 2
    path.write_text(changed)
    (port,) = free_ports(1)
    values = {
        **os.environ,
        **environment(server, database_url),
        "PYTHONPATH": first_in_path(folder),
        "MYSPINBOT_ADMIN_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "projector.main", env=values, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def positions_of(database: Database, name: str) -> dict[int, int]:
    async with database.reading() as connection:
        wanted = select(POSITION).where(POSITION.c.projection == name)
        return {row.version: row.sequence for row in await connection.execute(wanted)}


async def reached(database: Database, name: str, version: int, position: int) -> None:
    async with asyncio.timeout(60):
        while (await positions_of(database, name)).get(version, 0) < position:
            pass


async def test_the_older_projector_answers_while_the_newer_one_fills_its_tables(
    server: NatsServer, log: EventLog, database_url: str, tmp_path: Path
) -> None:
    database = open_database(database_url)
    for number in range(60):
        last = await tell(log, job_id(number), eventful_story(job_id(number)))
    async with running(server, database_url) as older:
        await older.ready()
        async with the_next_version(server, database_url, tmp_path / "next") as newer:
            number = 100
            while (await positions_of(database, "stages")).get(NEXT, 0) < last:
                assert newer.returncode is None
                said = await tell(log, job_id(number), story(job_id(number)))
                page = await older.ask(ListJobs(owner="me", limit=200, min_position=said))
                assert isinstance(page, JobPage)
                assert len(page.jobs) == min(60 + number - 99, 200)
                number += 1
            last = await tell(log, job_id(999), story(job_id(999)))
            # Both go on side by side, and what they share is written once.
            await reached(database, "stages", NEXT, last)
            await reached(database, "stages", NEXT - 1, last)
            await assert_views_match_log(server.address("projector"), database_url)
            columns = [column(each.name) for each in stages.STAGES.columns]
            both = [
                select(*columns)
                .select_from(table(f"stages_v{version}"))
                .order_by(columns[0], columns[1])
                for version in (NEXT - 1, NEXT)
            ]
            async with database.reading() as connection:
                old, new = [[tuple(r) for r in await connection.execute(one)] for one in both]
            assert old == new
    # Going back is going on from where the older version was; going forward clears it away.
    last = await tell(log, job_id(1000), story(job_id(1000)))
    async with running(server, database_url) as older:
        await older.ready()
        await older.ask(ListJobs(owner="me", min_position=last))
    status, lines = await ran(
        server,
        database_url,
        "projector.rebuild",
        "--drop-old",
        PYTHONPATH=first_in_path(tmp_path / "next"),
    )
    assert (status, lines) == (0, [{"dropped": [stages.STAGES.name]}])
    assert set(await positions_of(database, "stages")) == {NEXT}
    await database.close()


async def test_several_projectors_share_all_projections_without_doubling(
    server: NatsServer, log: EventLog, database_url: str
) -> None:
    async with running(server, database_url) as one, running(server, database_url) as other:
        await asyncio.gather(one.ready(), other.ready())
        for number in range(30):
            asked = request(profile=f"p-{number % 3}")
            last = await tell(log, job_id(number), eventful_story(job_id(number), asked))
        await asyncio.gather(
            *(each.ask(ListJobs(owner="me", min_position=last)) for each in (one, other))
        )
        checked = await assert_views_match_log(server.address("projector"), database_url)
        assert {found.projection for found in checked} == {each.name for each in ALL}
        assert all(found.rows or found.projection == "deadletters" for found in checked)
