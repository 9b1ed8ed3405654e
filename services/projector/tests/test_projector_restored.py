"""Projectors on a log that was restored by the command, with views that belong to it or not."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eventlog import archive
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.topology import lasting_streams
from myspinbot.backup import streams
from myspinbot.backup.meter import work
from projector_histories import job_id, story
from projector_running import rows_in, running, tell
from servicekit.objects import StoreAddress, open_store

from contracts import subjects
from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import object_store

pytestmark = pytest.mark.long


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where an installation's parts are, as the command is told."""

    server: NatsServer
    store: StoreAddress
    bucket: str
    database: str | None

    async def command(self, *words: str) -> Ended:
        process = await self.start(*words)
        out, err = await process.communicate()
        return Ended(process.returncode or 0, out.decode().strip(), err.decode())

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        settings = {
            "MYSPINBOT_NATS_URL": self.server.address("admin").url,
            "MYSPINBOT_NATS_SEED": str(self.server.seeds["admin"]),
            "MYSPINBOT_S3_ENDPOINT": self.store.endpoint,
            "MYSPINBOT_S3_BUCKET": self.bucket,
            "MYSPINBOT_S3_ACCESS_KEY": self.store.access_key,
            "MYSPINBOT_S3_SECRET_KEY": self.store.secret_key,
        }
        if self.database:
            settings["MYSPINBOT_DATABASE_URL"] = self.database
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "myspinbot.main",
            *words,
            env={**os.environ, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with object_store(tmp_path_factory.mktemp("weed")) as address:
        yield address


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "other") as started:
        yield started


@pytest.fixture
async def other(other_server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(other_server.address("admin"))
    yield broker
    await broker.close()


@pytest.fixture
async def site(server: NatsServer, log: EventLog, store: StoreAddress, database_url: str) -> Site:
    """An installation with jobs, objects, and views that have caught up."""
    bucket = f"from-{secrets.token_hex(4)}"
    address = StoreAddress(store.endpoint, bucket, store.access_key, store.secret_key)
    async with open_store(address) as objects:
        await objects.ensure_bucket()
        for number in range(4):
            await objects.put(f"jobs/{number}", secrets.token_bytes(1000), "image/png")
    for number in range(4):
        await tell(log, job_id(number), story(job_id(number)))
    async with running(server, database_url) as projector:
        await projector.ready()
    return Site(server, store, bucket, database_url)


@pytest.fixture
async def empty(
    site: Site, other_server: NatsServer, request: pytest.FixtureRequest, tmp_path: Path
) -> Site:
    """Another installation of the same kind, with nothing in it."""
    assert site.database is not None
    if site.database.startswith("sqlite"):
        database = f"sqlite+aiosqlite:///{tmp_path}/restored.db"
    else:
        postgres = request.getfixturevalue("postgres_server")
        database = await postgres.new_database(f"views-{secrets.token_hex(4)}")
    return Site(other_server, site.store, f"to-{secrets.token_hex(4)}", database)


async def without_position(url: str) -> dict[str, list[tuple[object, ...]]]:
    found = await rows_in(url)
    found.pop("position")
    return found


async def test_views_go_on_from_where_they_were_after_a_restore(
    site: Site, empty: Site, other: Broker, tmp_path: Path
) -> None:
    assert site.database is not None
    assert empty.database is not None
    made = await site.command("backup", str(tmp_path / "shelf"))
    assert made.status == 0, made.err
    done = await empty.command("restore", str(tmp_path / "shelf"))
    assert done.status == 0, done.err
    before = await without_position(site.database)
    assert await without_position(empty.database) == before
    log = EventLog(other, "test")
    async with running(empty.server, empty.database) as projector:
        await projector.ready()
        assert await without_position(empty.database) == before
        await tell(log, job_id(9), story(job_id(9)))
    async with running(empty.server, empty.database) as projector:
        await projector.ready()
    assert len((await rows_in(empty.database))["position"]) > 0
    assert await without_position(empty.database) != before


async def test_an_older_log_beside_a_newer_database_is_noticed_and_the_remedy_works(
    site: Site, empty: Site, server: NatsServer, log: EventLog, tmp_path: Path
) -> None:
    assert site.database is not None
    assert empty.database is not None
    assert (await site.command("backup", str(tmp_path / "shelf"))).status == 0
    older = await without_position(site.database)
    await tell(log, job_id(9), story(job_id(9)))
    async with running(server, site.database) as projector:
        await projector.ready()
    newer = await rows_in(site.database)
    only_log = Site(empty.server, empty.store, empty.bucket, None)
    done = await only_log.command("restore", str(tmp_path / "shelf"))
    assert done.status == 0, done.err
    assert "views are filled from the log" in done.err
    async with running(empty.server, site.database) as projector:
        said = await projector.operator_is_told()
        assert "`myspinbot restore`" in said
        assert "empty database" in said
    assert await rows_in(site.database) == newer, "the views must be left alone"
    async with running(empty.server, empty.database) as projector:
        await projector.ready()
    assert await without_position(empty.database) == older


async def test_a_restore_that_was_killed_goes_on_where_it_was(
    site: Site, empty: Site, other: Broker, tmp_path: Path
) -> None:
    assert empty.database is not None
    assert (await site.command("backup", str(tmp_path / "shelf"))).status == 0
    process = await empty.start("restore", str(tmp_path / "shelf"))
    async with asyncio.timeout(60):
        # The streams that come after the log.
        while await archive.facts(other, subjects.CONFIG) is None:
            assert process.returncode is None
    process.kill()
    await process.communicate()
    restored = await archive.facts(other, subjects.JOBS)
    assert restored is not None
    done = await empty.command("restore", str(tmp_path / "shelf"))
    assert done.status == 0, done.err
    after = await archive.facts(other, subjects.JOBS)
    assert after is not None
    assert after.created == restored.created, "the log was restored twice"
    before = await rows_in(empty.database)
    async with running(empty.server, empty.database) as projector:
        await projector.ready()
    assert await rows_in(empty.database) == before


async def test_a_restore_that_lacks_only_its_last_word_does_nothing_twice(
    site: Site, empty: Site, other: Broker, tmp_path: Path
) -> None:
    assert empty.database is not None
    made = await site.command("backup", str(tmp_path / "shelf"))
    assert (await empty.command("restore", str(tmp_path / "shelf"))).status == 0
    before = await rows_in(empty.database)
    created = {}
    for config in lasting_streams():
        name = config["name"]
        mark = {"restored-from": Path(made.out).name}
        await other.api(f"STREAM.UPDATE.{name}", {**config, "metadata": mark})
        created[name] = await archive.facts(other, name)
    done = await empty.command("restore", str(tmp_path / "shelf"))
    assert done.status == 0, done.err
    for name, facts in created.items():
        after = await archive.facts(other, name)
        assert facts is not None
        assert after is not None
        assert (after.created, after.extent) == (facts.created, facts.extent)
    assert await rows_in(empty.database) == before
    refused = await empty.command("restore", str(tmp_path / "shelf"))
    assert refused.status == 4, "whatever is told from now on is not to be overwritten"


async def test_what_several_servers_kept_is_restored_into_one(
    admin: Broker, log: EventLog, other: Broker, tmp_path: Path
) -> None:
    await tell(log, job_id(1), story(job_id(1)))
    with work("Log", 0) as progress:
        part = await streams.back_up(admin, subjects.JOBS, tmp_path, progress)
        of_three = part.model_copy(update={"config": {**part.config, "num_replicas": 3}})
        made = await streams.restore(other, of_three, tmp_path, "one", progress)
    assert made.config["num_replicas"] == 1
    assert made.last_sequence == (await log.position()).last_sequence


async def test_what_is_in_use_is_not_restored_into(
    site: Site, empty: Site, other: Broker, tmp_path: Path
) -> None:
    assert (await site.command("backup", str(tmp_path / "shelf"))).status == 0
    before = await rows_in(site.database or "")
    words = ("restore", str(tmp_path / "shelf"))
    refused = await site.command(*words)
    assert refused.status == 4
    assert "stream CHECKPOINTS" in refused.err or "stream JOBS" in refused.err
    full_bucket = Site(empty.server, site.store, "myspinbot", empty.database)
    async with open_store(site.store) as objects:
        await objects.put("other/people", b"theirs", "text/plain")
    refused = await full_bucket.command(*words)
    assert refused.status == 4
    assert "other/people" in refused.err
    used_database = Site(empty.server, empty.store, empty.bucket, site.database)
    refused = await used_database.command(*words)
    assert refused.status == 4
    assert "holds tables already" in refused.err
    assert await rows_in(site.database or "") == before
    assert await archive.facts(other, subjects.JOBS) is None, "something was restored"


async def test_services_at_work_are_told_to_stop_first(
    site: Site, empty: Site, other: Broker, tmp_path: Path
) -> None:
    assert (await site.command("backup", str(tmp_path / "shelf"))).status == 0
    board = {"name": subjects.RUNNERS, "subjects": [subjects.ALL_RUNNERS], "allow_direct": True}
    await other.api(f"STREAM.CREATE.{subjects.RUNNERS}", {**board, "storage": "memory"})
    await other.publish(subjects.runner("one"), b"{}")
    refused = await empty.command("restore", str(tmp_path / "shelf"))
    assert refused.status == 4
    assert "runners.one" in refused.err
    assert await archive.facts(other, subjects.JOBS) is None


async def test_who_may_not_copy_streams_is_told_whose_seed_is_needed(
    site: Site, tmp_path: Path
) -> None:
    seed = str(site.server.seeds["gateway"])
    refused = await site.command("backup", str(tmp_path / "shelf"), "--seed", seed)
    assert refused.status == 6
    assert "--seed" in refused.err
