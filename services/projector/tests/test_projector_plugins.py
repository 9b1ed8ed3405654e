"""Adding a projection as docs/projections.md says, word for word; and what is refused."""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from contracts.queries import GetJob, Query
from eventlog.log import EventLog
from projector import discovery
from projector.database import open_database
from projector.errors import InvalidProjectionError
from projector.projection import METADATA, Projection
from projector.projections import ALL, jobs, timeline
from projector_commands import ran
from projector_copies import copied, first_in_path
from projector_histories import eventful_story, job_id, request, story
from projector_running import environment, running, tell
from sqlalchemy import Column, MetaData, Table, Text, text

from tests.support.broker import NatsServer, binary

DOCUMENT = Path(__file__).parents[3] / "docs" / "projections.md"


def block(language: str) -> str:
    """The first block in a language."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def place() -> str:
    """Where the document says that the module goes, within the package."""
    found = re.search(r"Save this as `\S+/src/projector/(\S+)`", DOCUMENT.read_text())
    assert found is not None
    return found[1]


def commands() -> list[list[str]]:
    """The commands for the example, without the name of the program."""
    found = re.findall(r"myspinbot (replay --projection failures[^`\n]*)", DOCUMENT.read_text())
    return [words.split() for words in found]


async def asked(database_url: str) -> list[tuple[object, ...]]:
    """What the document's question is answered."""
    database = open_database(database_url)
    async with database.reading() as connection:
        rows = await connection.execute(text(block("sql")))
        answer = [tuple(row) for row in rows]
    await database.close()
    return answer


async def run(words: Sequence[str], values: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *words,
        env=values,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def reached(database_url: str, position: int) -> None:
    database = open_database(database_url)
    wanted = text("SELECT sequence FROM position WHERE projection = 'failures'")
    async with asyncio.timeout(60):
        while True:
            async with database.reading() as connection:
                if (await connection.execute(wanted)).scalar() == position:
                    break
    await database.close()


async def test_a_new_projection_is_added_as_the_document_says(
    server: NatsServer, log: EventLog, database_url: str, tmp_path: Path
) -> None:
    for number in range(3):
        job = job_id(number)
        last = await tell(log, job, eventful_story(job) if number < 2 else story(job))
    changed = tmp_path / "changed"
    (copied(changed) / place()).write_text(block("python"))
    values = {
        **os.environ,
        **environment(server, database_url),
        "PYTHONPATH": first_in_path(changed),
    }
    here = ["--nats", values["MYSPINBOT_NATS_URL"], "--seed", values["MYSPINBOT_NATS_SEED"]]
    fill, check = commands()
    async with running(server, database_url) as projector:
        # It knows nothing of what is added, and is not disturbed.
        await projector.ready()
        status, said = await run([binary("myspinbot"), *fill, *here], values)
        assert status == 0, said
        await projector.ask(GetJob(owner="me", job=job_id(0), min_position=last))
    expected = {("out_of_memory", "runner-1", 2), ("out_of_memory", None, 2)}
    assert set(await asked(database_url)) == expected
    last = await tell(log, job_id(9), eventful_story(job_id(9)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "projector.main", env=values, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await reached(database_url, last)
    finally:
        process.terminate()
        await process.wait()
    assert {row[2] for row in await asked(database_url)} == {3}
    status, said = await run([binary("myspinbot"), *check, *here], values)
    assert status == 0, said


async def test_a_projection_of_another_package_is_found_by_its_entry_point(
    server: NatsServer, log: EventLog, database_url: str, tmp_path: Path
) -> None:
    await tell(log, job_id(0), eventful_story(job_id(0), request()))
    package = tmp_path / "site"
    described = package / "my_package-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    [point] = re.findall(r'failures = "(\S+)"', block("toml"))
    (described / "entry_points.txt").write_text(f"[{discovery.GROUP}]\nfailures = {point}\n")
    module = package / Path(*point.split(".")).with_suffix(".py")
    module.parent.mkdir()
    module.write_text(block("python"))
    async with running(server, database_url) as projector:
        await projector.ready()
    status, lines = await ran(
        server,
        database_url,
        "projector.rebuild",
        "--projection",
        "failures",
        PYTHONPATH=first_in_path(package),
    )
    assert (status, lines[-1]["written"]) == (0, 2)
    assert len(await asked(database_url)) == 2


def a_table(name: str) -> Table:
    return Table(name, MetaData(), Column("job", Text, primary_key=True))


def a_projection(
    name: str = "things", table: str = "things_v1", query: type[Query] | None = None
) -> Projection:
    replies = {query: jobs.PROJECTION.replies[GetJob]} if query else {}
    return Projection(name, 1, (a_table(table),), lambda _: (), replies)


class Unheard(Query):
    """A query that is in no list."""

    subject = "things.unheard"


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (a_projection("jobs", "jobs_v1"), "another one has the same name"),
        (a_projection(table="things"), "must be called things_v1"),
        (a_projection(table="things_v2"), "must be called things_v1"),
        (a_projection(table="jobs_v1"), "must be called things_v1"),
        (a_projection("Things"), "its name must match"),
        (a_projection("things_rebuild", "things_rebuild_v1"), "is for rebuilds"),
        (a_projection(query=GetJob), "jobs.get is answered by jobs already"),
        (a_projection(query=Unheard), "add it to contracts.queries.QUERIES"),
    ],
)
def test_a_projection_that_would_be_in_the_way_is_refused(added: Projection, said: str) -> None:
    with pytest.raises(InvalidProjectionError, match=re.escape(said)) as refused:
        discovery.check([*ALL, added])
    assert "docs/projections.md" in str(refused.value)


def test_a_projection_that_keeps_the_rules_is_accepted() -> None:
    discovery.check([*ALL, a_projection()])
    discovery.check([*ALL, a_projection(table="things_by_day_v1")])


def test_every_module_of_the_folder_is_a_projection_and_in_the_document() -> None:
    folder = Path(str(timeline.__file__)).parent
    modules = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    assert {one.name for one in ALL} == modules
    listed = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert set(listed) == modules
    answered = re.findall(r"`(\w+\.\w+)`", DOCUMENT.read_text().split("## Add one")[0])
    subjects = {query.subject for one in ALL for query in one.replies}
    assert subjects <= set(answered)


def test_every_table_can_be_made_anew_job_by_job() -> None:
    for one in ALL:
        assert all("job" in table.columns for table in one.tables), one.name
        assert all(table.metadata is METADATA for table in one.tables)
