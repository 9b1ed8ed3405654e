"""Views copied out of a real database and into an empty one, of the same kind."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from eventlog.broker import Broker
from eventlog.log import EventLog
from projector_histories import eventful_story, job_id, story
from projector_running import position_in, rows_in, running, tell

from tests.support.broker import NatsServer

AFTER = timedelta(hours=1)


async def archive(url: str, *words: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "projector.archive",
        *words,
        env={**os.environ, "MYSPINBOT_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(said)


@pytest.fixture
async def empty_url(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Another database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{tmp_path}/restored/views.db"
    server = request.getfixturevalue("postgres_server")
    return str(await server.new_database(f"views-{secrets.token_hex(4)}"))


@pytest.fixture
async def filled(server: NatsServer, log: EventLog, database_url: str) -> str:
    """Views of some jobs."""
    for number in range(5):
        await tell(log, job_id(number), story(job_id(number)))
    last = await tell(log, job_id(9), eventful_story(job_id(9)))
    async with running(server, database_url) as projector:
        await projector.ready()
    assert await position_in(database_url) == last
    return database_url


async def test_every_row_comes_back_and_the_positions_are_of_the_restored_log(
    filled: str, empty_url: str, log: EventLog, tmp_path: Path
) -> None:
    before = await rows_in(filled)
    folder = tmp_path / "dump"
    status, dumped = await archive(filled, "dump", str(folder))
    assert (status, dumped["kind"]) == (0, filled.partition("+")[0])
    end = await log.position()
    assert {each["sequence"] for each in dumped["positions"]} >= {end.last_sequence}
    times = ["--from-log", end.created.isoformat()]
    times += ["--to-log", (end.created + AFTER).isoformat()]
    status, loaded = await archive(empty_url, "load", str(folder), *times)
    assert (status, loaded) == (0, dumped)
    after = await rows_in(empty_url)
    assert len(before["position"]) == len(after["position"]) > 0
    assert {row[-1] for row in after.pop("position")} == {end.created + AFTER}
    before.pop("position")
    assert after == before
    assert sum(map(len, after.values())) > 50
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


async def test_what_is_there_is_not_loaded_over(filled: str, log: EventLog, tmp_path: Path) -> None:
    before = await rows_in(filled)
    await archive(filled, "dump", str(tmp_path / "dump"))
    created = (await log.position()).created.isoformat()
    times = ("--from-log", created, "--to-log", created)
    status, said = await archive(filled, "load", str(tmp_path / "dump"), *times)
    assert status == 1
    assert "holds tables already" in said["error"]
    assert await rows_in(filled) == before


async def test_a_copy_of_rows_that_were_cut_leaves_the_database_empty(
    filled: str, empty_url: str, admin: Broker, log: EventLog, tmp_path: Path
) -> None:
    folder = tmp_path / "dump"
    await archive(filled, "dump", str(folder))
    largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2 - 1)
    created = (await log.position()).created.isoformat()
    times = ("--from-log", created, "--to-log", created)
    status, said = await archive(empty_url, "load", str(folder), *times)
    assert status == 1
    assert said["error"]
    assert said["remedy"]
    assert await position_in(empty_url) == 0


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    status, said = await archive(
        "postgresql+asyncpg://nobody@127.0.0.1:9/none", "dump", str(tmp_path / "dump")
    )
    assert status == 1
    assert "cannot be" in said["error"]
    status, said = await archive(f"sqlite+aiosqlite:///{tmp_path}/no.db", "dump", str(tmp_path))
    assert status == 1
    assert "There is no database" in said["error"]
    assert not (tmp_path / "no.db").exists()
