"""What a newer program has left in the volumes: nothing of it is lost, and each part says so.

`test_unknown_events.py` has what planner and runners do with a job that they cannot read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gateway.main
import httpx
import numpy as np
import planner.main
import projector.main
import pytest
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker, connect
from eventlog.checkpoints import Notary, UnreadableCheckpointError
from eventlog.errors import BrokerError
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.reader import read_log
from eventlog.signatures import Signer
from eventlog.topology import CHORES_CONSUMER, DELIVERIES_CONSUMER, LAYOUT, ensure
from gateway.access.tokens import TokenRecord, digest
from gateway.unread import Unread
from gateway.webhooks.hooks import Webhook
from gpu_runner.speech import profile
from gpu_runner.stage import StageError
from myspinbot.doctor import folder, system
from myspinbot.doctor.findings import Verdict
from myspinbot.embedded.halts import halts
from myspinbot.embedded.home import LAYOUT as HOME_LAYOUT
from myspinbot.embedded.home import Home, NewerHomeError, StackNote
from myspinbot.embedded.probe import waits_for
from myspinbot.embedded.stack import run_stack
from projector.database import Database, open_database
from projector.errors import NewerViewsError
from projector.projections import ALL, jobs
from projector.rebuild.old import drop_old
from safetensors.numpy import save_file
from servicekit import admin as operators
from servicekit.admin import Readiness
from servicekit.objects import StoreAddress
from servicekit.service import Service
from servicekit.settings import Environment
from servicekit.streams import make_streams
from sqlalchemy import text
from structlog.testing import capture_logs

from contracts import events as e
from contracts import subjects
from tests.support.broker import NatsServer, nats_server
from tests.support.objectstore import object_store
from tests.support.ports import free_ports

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REQUEST = e.JobRequested(type=e.JobType.TRAIN, owner="me")
Body = Callable[[Service], Any]


@dataclass
class World:
    """A broker, and what the newer program has written there."""

    server: NatsServer
    broker: Broker
    log: EventLog
    folder: Path

    def settings(self, role: str) -> dict[str, str]:
        return {
            "MYSPINBOT_NATS_URL": self.server.address(role).url,
            "MYSPINBOT_NATS_SEED": str(self.server.seeds[role]),
        }

    async def newer_event(self, job: str) -> int:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": f"{job}-newer",
            "ce-source": "/myspinbot/gateway",
            "ce-type": "myspinbot.JobTeleported",
            "ce-subject": job,
            "ce-time": "2026-11-22T12:00:00+00:00",
        }
        subject = subjects.event(job, "JobTeleported")
        return int((await self.broker.publish(subject, b'{"version":1}', headers))["seq"])

    async def config(self, stream: str) -> dict[str, Any]:
        return dict((await self.broker.api(f"STREAM.INFO.{stream}"))["config"])

    async def as_newer(self, stream: str, **changes: Any) -> dict[str, Any]:
        """The configuration of a stream after a newer program has changed it."""
        stamp = {"metadata": {"myspinbot-layout": str(LAYOUT + 1)}}
        await self.broker.api(
            f"STREAM.UPDATE.{stream}", {**await self.config(stream), **changes, **stamp}
        )
        return await self.config(stream)

    @asynccontextmanager
    async def running(self, role: str, body: Body, **settings: str) -> AsyncIterator[Service]:
        service = Service(role, Environment(self.settings(role) | settings))
        task = asyncio.create_task(body(service))
        try:
            yield service
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        yield World(server, broker, EventLog(broker, "gateway"), tmp_path)
        await broker.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with object_store(tmp_path_factory.mktemp("weed")) as address:
        yield address


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(30):
        while not (found := condition()):  # noqa: ASYNC110 - readiness is no event
            await asyncio.sleep(0.01)
        return found


def halt(service: Service) -> str:
    """What an operator is told to do, or nothing."""
    waits = service.readiness.waiting_for
    return next((what for what in waits if what.startswith("operator: ")), "")


# The broker's streams


async def test_streams_of_a_newer_program_keep_its_limits_and_the_others_get_ours(
    world: World,
) -> None:
    longer = 90 * 86_400 * 1_000_000_000
    newer = await world.as_newer(subjects.STAGE_LOGS, max_age=longer, max_msgs_per_subject=50_000)
    shorter = {**await world.config(subjects.DELIVERED), "max_age": 86_400 * 1_000_000_000}
    await world.broker.api(f"STREAM.UPDATE.{subjects.DELIVERED}", shorter)
    assert await ensure(world.broker) == (subjects.STAGE_LOGS,)
    assert await world.config(subjects.STAGE_LOGS) == newer
    assert (await world.config(subjects.DELIVERED))["max_age"] == 7 * 86_400 * 1_000_000_000
    with capture_logs() as told:
        await make_streams(Environment(world.settings("admin")))
    [line] = [line for line in told if line["event"] == "streams.newer"]
    assert subjects.STAGE_LOGS in line["detail"]
    assert "run that version again, or restore a backup" in line["detail"]


async def test_consumers_of_a_newer_stream_stay_and_missing_ones_are_made(world: World) -> None:
    await world.as_newer(subjects.DELIVERIES)
    name = f"{subjects.DELIVERIES}.{DELIVERIES_CONSUMER}"
    info = await world.broker.api(f"CONSUMER.INFO.{name}")
    patient = {**info["config"], "ack_wait": 300 * 1_000_000_000}
    await world.broker.api(
        f"CONSUMER.CREATE.{name}", {"stream_name": subjects.DELIVERIES, "config": patient}
    )
    await ensure(world.broker)
    kept = await world.broker.api(f"CONSUMER.INFO.{name}")
    assert kept["config"]["ack_wait"] == patient["ack_wait"]
    await world.broker.api(f"CONSUMER.DELETE.{name}")
    await ensure(world.broker)
    await world.broker.api(f"CONSUMER.INFO.{name}")


async def test_streams_from_before_layouts_were_counted_are_brought_to_ours(world: World) -> None:
    config = {**await world.config(subjects.DELIVERED), "metadata": {}, "max_age": 10**15}
    await world.broker.api(f"STREAM.UPDATE.{subjects.DELIVERED}", config)
    assert await ensure(world.broker) == ()
    now = await world.config(subjects.DELIVERED)
    assert now["metadata"]["myspinbot-layout"] == str(LAYOUT)
    assert now["max_age"] != config["max_age"]


async def test_a_stream_that_the_broker_refuses_is_still_an_error(world: World) -> None:
    with pytest.raises(BrokerError, match="replicas"):
        await ensure(world.broker, replicas=3)


# Planner and projector


async def test_planner_and_projector_go_on_by_themselves_with_the_log_of_a_backup(
    world: World,
) -> None:
    url = f"sqlite+aiosqlite:///{world.folder}/views.db"
    await world.log.tell("before", REQUEST)
    sequence = await world.newer_event("before")
    async with (
        world.running("planner", planner.main.plan) as planning,
        world.running("projector", projector.main.body, MYSPINBOT_DATABASE_URL=url) as projecting,
    ):
        assert f"event {sequence}" in await until(lambda: halt(planning))
        said = await until(lambda: halt(projecting))
        assert "install the version that wrote it" in said
        assert "restore a backup from before it" in said
        await world.broker.api(f"STREAM.DELETE.{subjects.JOBS}")
        await ensure(world.broker)
        await world.log.tell("restored", REQUEST)
        await until(lambda: planning.readiness.ready)
        # Its views are of the other log; restoring brings their database too.
        await until(lambda: "empty database" in halt(projecting))
        database = open_database(url)
        async with database.writing() as connection:
            await connection.execute(text("DELETE FROM position"))
        await database.close()
        await until(lambda: projecting.readiness.ready)


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """Views that this program has filled, and a newer one after it."""
    url = f"sqlite+aiosqlite:///{world.folder}/views.db"
    await world.log.tell("job", REQUEST)
    async with world.running("projector", projector.main.body, MYSPINBOT_DATABASE_URL=url) as one:
        await until(lambda: one.readiness.ready)
    opened = open_database(url)
    newer = jobs.PROJECTION.version + 1
    copied, same = "INSERT INTO position SELECT", "stream_created, 'them' FROM position LIMIT 1"
    async with opened.writing() as connection:
        for statement in (
            "ALTER TABLE position ADD COLUMN checked_by TEXT",
            f"CREATE TABLE jobs_v{newer} (job TEXT)",
            f"INSERT INTO jobs_v{newer} VALUES ('theirs')",  # noqa: S608
            "CREATE TABLE captions_v1 (job TEXT)",
            f"{copied} 'jobs', {newer}, sequence, {same}",
            f"{copied} 'captions', 1, 9999, {same}",
        ):
            await connection.execute(text(statement))
    yield opened
    await opened.close()


async def of_newer(database: Database) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        theirs = "SELECT * FROM position WHERE checked_by IS NOT NULL ORDER BY projection"
        rows = list(await connection.execute(text(theirs)))
        newer = jobs.PROJECTION.version + 1
        rows += list(await connection.execute(text(f"SELECT job FROM jobs_v{newer}")))  # noqa: S608
    return [tuple(row) for row in rows]


async def test_a_projector_works_beside_the_views_of_a_newer_one(
    world: World, database: Database
) -> None:
    before = await of_newer(database)
    last = await world.log.tell("more", REQUEST)
    url = {"MYSPINBOT_DATABASE_URL": database.url}
    async with world.running("projector", projector.main.body, **url) as one:
        await until(lambda: one.readiness.ready)
        async with database.reading() as connection:
            ours = "SELECT min(sequence) FROM position WHERE checked_by IS NULL AND sequence > 0"
            assert (await connection.execute(text(ours))).scalar_one() == last
    assert await of_newer(database) == before
    assert len(before) == 3


async def test_old_views_are_not_cleared_away_where_a_newer_projector_has_been(
    database: Database,
) -> None:
    before = await of_newer(database)
    with pytest.raises(NewerViewsError, match="newest version of MySpinBot"):
        await drop_old(database)
    assert await of_newer(database) == before
    async with database.reading() as connection:
        await connection.execute(text("SELECT job FROM captions_v1"))


async def test_a_projector_leaves_tables_that_it_could_not_fill_and_goes_on_once_it_can(
    world: World, database: Database
) -> None:
    table = ALL[0].tables[0].name
    async with database.writing() as connection:
        await connection.execute(
            text("ALTER TABLE position RENAME COLUMN sequence TO sequence_of_log")
        )
    url = {"MYSPINBOT_DATABASE_URL": database.url}
    with capture_logs() as told:
        async with world.running("projector", projector.main.body, **url) as one:
            said = await until(lambda: halt(one))
            assert "the table position is of another program's making" in said
            assert "lacks the column sequence" in said
            async with database.writing() as connection:
                undo = "ALTER TABLE position RENAME COLUMN sequence_of_log TO sequence"
                await connection.execute(text(undo))
            await until(lambda: one.readiness.ready)
    assert [line["event"] for line in told].count("projector.halted") == 1
    async with database.writing() as connection:
        await connection.execute(text(f"DROP TABLE {table}"))
        await connection.execute(text(f"CREATE TABLE {table} (job TEXT, seal TEXT NOT NULL)"))
    async with world.running("projector", projector.main.body, **url) as one:
        assert f"the table {table} is of another" in await until(lambda: halt(one))


# The gateway


@asynccontextmanager
async def a_gateway(
    world: World, store: StoreAddress, **settings: str
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    (port,) = free_ports(1)
    common = {
        "MYSPINBOT_S3_ENDPOINT": store.endpoint,
        "MYSPINBOT_S3_ACCESS_KEY": store.access_key,
        "MYSPINBOT_S3_SECRET_KEY": store.secret_key,
        "MYSPINBOT_HTTP_PORT": str(port),
    }
    async with (
        world.running("gateway", gateway.main.body, **common, **settings) as service,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        await until(lambda: "start" not in service.readiness.waiting_for)
        yield service, client


async def unacknowledged(world: World, stream: str, consumer: str) -> int:
    info = await world.broker.api(f"CONSUMER.INFO.{stream}.{consumer}")
    return int(info["num_ack_pending"]) + int(info["num_pending"])


async def test_what_should_follow_from_a_newer_event_waits_for_a_newer_gateway(
    world: World, store: StoreAddress
) -> None:
    sequence = await world.newer_event("job")
    await world.log.tell("other", REQUEST)
    with capture_logs() as told:
        async with a_gateway(world, store) as (service, client):
            assert f"nothing follows from event {sequence}" in await until(lambda: halt(service))
            answer = (await client.get("/ready")).json()
            assert any("install the version that wrote it" in w for w in answer["waitingFor"])
            async with asyncio.timeout(30):
                while await unacknowledged(world, subjects.JOBS, CHORES_CONSUMER) > 1:
                    pass
    assert [line["event"] for line in told].count("gateway.event_unread") == 1
    assert await unacknowledged(world, subjects.JOBS, CHORES_CONSUMER) == 1


async def test_a_gateway_that_meets_a_newer_event_answers_on_and_says_what_it_needs(
    world: World, store: StoreAddress
) -> None:
    async with a_gateway(world, store) as (service, client):
        await until(lambda: service.readiness.ready)
        sequence = await world.log.tell("job", REQUEST)
        await world.newer_event("job")
        await until(
            lambda: any("followed up to event 1" in w for w in service.readiness.waiting_for)
        )
        assert (await client.get("/api/tokens")).status_code < 500
        assert (await client.get("/ready")).status_code == 503
        assert sequence == 1


async def test_what_stands_before_a_newer_event_is_read(world: World) -> None:
    await world.log.tell("job", REQUEST)
    await world.newer_event("job")
    batches = read_log(world.broker, after=0)
    assert [recorded.event for recorded in await anext(batches)] == [REQUEST]
    with pytest.raises(UnknownEventError, match="JobTeleported"):
        await anext(batches)


def test_an_event_that_another_gateway_has_read_is_waited_for_no_longer() -> None:
    clock = [0.0]
    readiness = Readiness(set())
    unread = Unread(readiness, lambda: clock[0])
    unread.met(7, UnknownEventError("of tomorrow"))
    assert "event 7" in next(iter(readiness.waiting_for))
    clock[0] = 100
    unread.met(7, UnknownEventError("of tomorrow"))
    clock[0] = 350
    unread.forget()
    assert not readiness.ready
    clock[0] = 500
    unread.forget()
    assert readiness.ready


def more(record: Webhook | TokenRecord) -> bytes:
    """A record with a field that a newer program has added."""
    return json.dumps({**json.loads(record.to_json()), "sealedBy": "them"}).encode()


async def test_deliveries_for_a_webhook_of_a_newer_form_wait_and_nothing_is_overwritten(
    world: World, store: StoreAddress
) -> None:
    hook = Webhook(
        webhook_id="hook",
        owner="me",
        url="http://127.0.0.1:9/",
        events=(),
        created_at=NOW,
        secret="whsec_" + "A" * 32,
    )
    config, newer = KeyValue(world.broker), more(hook)
    await config.create(hook.key, newer)
    pointer = subjects.delivery("me", "hook", "d1")
    await world.broker.publish(pointer, b"", {})
    with capture_logs() as told:
        async with a_gateway(world, store) as (service, client):
            await until(lambda: service.readiness.ready)
            await until(lambda: [x for x in told if x["event"] == "webhook.kept_for_newer"])
            assert (await client.get("/api/webhooks")).json()["webhooks"] == []
    assert await unacknowledged(world, subjects.DELIVERIES, DELIVERIES_CONSUMER) == 1
    entry = await config.get(hook.key)
    assert entry is not None
    assert entry.data == newer


async def test_a_token_of_a_newer_form_opens_nothing_and_stays(
    world: World, store: StoreAddress
) -> None:
    record = TokenRecord(
        token_id="abc",  # noqa: S106 - a name
        name="mine",
        owner="me",
        scopes=("admin",),
        created_at=NOW,
        secret_sha256=digest("secret"),
    )
    config, newer = KeyValue(world.broker), more(record)
    await config.create(record.key, newer)
    access = {"MYSPINBOT_ACCESS": "token", "MYSPINBOT_SECRET": "s" * 40}
    with capture_logs() as told:
        async with a_gateway(world, store, **access) as (service, client):
            await until(lambda: service.readiness.ready)
            shown = {"Authorization": "Bearer msb_abc_secret"}
            assert (await client.get("/api/jobs", headers=shown)).status_code == 401
    assert "token.unreadable" in [line["event"] for line in told]
    entry = await config.get(record.key)
    assert entry is not None
    assert entry.data == newer


async def test_an_upload_of_a_newer_form_is_told_apart_from_one_that_is_not_there(
    world: World, store: StoreAddress
) -> None:
    async with a_gateway(world, store) as (service, client):
        await until(lambda: service.readiness.ready)
        owner = (await client.get("/api/session")).json()["owner"]
        upload = "0" * 26
        await KeyValue(world.broker).create(subjects.config("uploads", owner, upload), b'{"of":9}')
        answer = await client.get(f"/api/uploads/{upload}")
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/written-by-newer"
        assert "run the version that wrote it" in answer.json()["remedy"]
        assert (await client.get(f"/api/uploads/{'1' * 26}")).status_code == 404


# The notary


async def test_nothing_is_signed_after_a_checkpoint_of_a_newer_form(world: World) -> None:
    await world.log.tell("job", REQUEST)
    await world.broker.publish(subjects.LOG_CHECKPOINTS, b'{"version":2}', {})
    with pytest.raises(UnreadableCheckpointError, match="until the version that wrote it runs"):
        await Notary(world.broker, Signer.of(world.server.seeds["notary"])).sign()
    info = await world.broker.api(f"STREAM.INFO.{subjects.CHECKPOINTS}")
    assert info["state"]["messages"] == 1


# The local system


def of_newer_home(path: Path) -> Home:
    home = Home(path / "home")
    home.prepare()
    said = {"layout": HOME_LAYOUT + 1, "program": "9.9", "more": {}}
    (home.data / "layout.json").write_text(json.dumps(said))
    (home.keys / "s3.json").write_text('{"format": 2}')
    return home


def files(home: Home) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}


async def test_a_local_system_does_not_start_on_the_data_of_a_newer_one(tmp_path: Path) -> None:
    home = of_newer_home(tmp_path)
    home.write_note(StackNote("s", ports={"http": 8787}))
    before = files(home)
    with pytest.raises(NewerHomeError) as caught:
        await run_stack(home, None, pytest.fail, pytest.fail, environment={})
    assert "of a newer MySpinBot, 9.9" in caught.value.cause
    assert "myspinbot restore BACKUP --replace" in caught.value.remedy
    after = files(home)
    assert {path: after[path] for path in before} == before


def test_the_doctor_finds_data_of_a_newer_program(tmp_path: Path) -> None:
    home = of_newer_home(tmp_path)
    [found] = [one for one in folder.check(home) if one.check == "data"]
    assert found.verdict is Verdict.FAIL
    assert "9.9" in found.detail
    assert "Install that version again" in found.remedy
    (home.data / "layout.json").write_text(json.dumps({"layout": HOME_LAYOUT, "program": "1"}))
    assert "data" not in [one.check for one in folder.check(home)]


def test_data_from_before_layouts_were_counted_is_taken_and_counted(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    home.claim()
    home.claim()
    assert json.loads((home.data / "layout.json").read_text())["layout"] == HOME_LAYOUT


def test_the_note_of_a_newer_stack_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    note = {"stack": "s", "pid": 7, "ports": {"http": 8787, "grpc": 1}, "zone": "a"}
    facing = {"host": "0.0.0.0", "access": "token", "tls": True}  # noqa: S104
    (home.root / "stack.json").write_text(json.dumps({**note, "facing": facing}))
    assert (home.note().stack, home.note().pid, home.note().ports["http"]) == ("s", 7, 8787)
    assert home.note().facing.access == "token"


async def test_a_halted_service_is_told_at_the_terminal_and_by_the_doctor(tmp_path: Path) -> None:
    readiness, (port,) = Readiness(), free_ports(1)
    readiness.lost("operator: the views stop at event 3: version 2; install the version that wrote")
    stop = operators.serve(port, readiness)
    try:
        async with asyncio.timeout(10), aclosing(halts({"projector": port})) as told:
            service, what = await anext(told)
        assert service == "projector"
        assert what.startswith("the views stop at event 3")
        home = Home(tmp_path / "home")
        home.prepare()
        home.write_note(StackNote("s", ports={"projector_admin": port}))
        [found] = [one async for one in system.check_parts(home) if one.check == "projector"]
        assert found.verdict is Verdict.FAIL
        assert found.detail == "It goes no further: the views stop at event 3: version 2."
        assert found.remedy == "Install the version that wrote."
        readiness.reached(next(w for w in readiness.waiting_for if w.startswith("operator")))
        assert await waits_for(port) == ["start"]
        [found] = [one async for one in system.check_parts(home) if one.check == "projector"]
        assert "waits for: start" in found.detail
    finally:
        stop()
    assert await waits_for(port) == []


# Profiles


def test_a_voice_of_a_newer_form_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    header = {"format": profile.FORMAT, "version": str(profile.VERSION + 1)}
    save_file({"timbre": np.zeros(1, np.float32)}, path, metadata=header)
    before = path.read_bytes()
    with pytest.raises(StageError) as caught:
        profile.load_profile(path)
    assert caught.value.code == "voice-profile-too-new"
    assert "Update the program" in caught.value.remedy
    assert path.read_bytes() == before
