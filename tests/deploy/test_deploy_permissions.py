"""Every role at a real broker: it may do its own work, and none of the others'."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nats
import pytest
import yaml
from contracts.events import JobRequested, JobType
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.permissions import ROLES
from eventlog.server_config import render_users
from eventlog.topology import ensure
from myspinbot.provision.layout import Layout
from myspinbot.provision.making import Wanted, provision

from contracts import subjects
from tests.support.broker import NatsServer
from tests.support.duties import DEEDS, SERVICES, Deed, table
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
CERTAINLY_REFUSED = "nobody.may"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The broker of a deployment: its own configuration, with the users that were provisioned."""
    folder = tmp_path_factory.mktemp("permissions")
    layout = Layout(folder / "secrets")
    provision(layout, Wanted("myspinbot.local", datetime.now(UTC)))
    port, monitor_port = free_ports(2)
    text = (ROOT / "deploy/nats/nats.conf").read_text()
    for before, after in (
        ("$NATS_SERVER_NAME", "tested"),
        ("host: 0.0.0.0", "host: 127.0.0.1"),
        ("port: 4222", f"port: {port}"),
        ("http: 0.0.0.0:8222", f"http: 127.0.0.1:{monitor_port}"),
        ("store_dir: /data", f"store_dir: {folder}/data"),
        ("include ./users.conf", f"include ./{layout.users.relative_to(folder)}"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    (folder / "nats.conf").write_text(text)
    seeds = {role: layout.seeds / f"{role}.nk" for role in ROLES}
    running = NatsServer(folder, port, monitor_port, seeds)
    running.start()
    asyncio.run(_make_streams(running))
    yield running
    running.kill()


async def _make_streams(server: NatsServer) -> None:
    admin = await connect(server.address("admin"))
    await ensure(admin)
    await EventLog(admin, "test").tell("j", JobRequested(type=JobType.TRAIN, owner="me"))
    await admin.close()


class Attempts:
    """A client that notes what it is refused."""

    def __init__(self) -> None:
        self.refused: set[tuple[str, str]] = set()
        self.heard = asyncio.Event()

    async def note(self, error: Exception) -> None:
        text = str(error).lower()
        verb = "subscribe" if "subscription" in text else "publish"
        if '"' in text:
            self.refused.add((verb, text.split('"')[1]))
        if CERTAINLY_REFUSED in text:
            self.heard.set()


async def refusals(server: NatsServer, role: str, deeds: tuple[Deed, ...]) -> set[Deed]:
    """The deeds that the broker refuses a role. Errors come in order, so the last one tells."""
    attempts, address = Attempts(), server.address(role)
    client = await nats.connect(
        address.url,
        nkeys_seed=str(address.seed_file),
        inbox_prefix=f"_INBOX_{role}",
        error_cb=attempts.note,
    )
    for deed in deeds:
        if deed.verb == "subscribe":
            await client.subscribe(deed.subject)
        else:
            await client.publish(deed.subject, b"")
    await client.publish(CERTAINLY_REFUSED, b"")
    async with asyncio.timeout(10):
        await attempts.heard.wait()
    await client.close()
    return {deed for deed in deeds if (deed.verb, deed.subject.lower()) in attempts.refused}


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_may_do_its_own_work_and_none_of_the_others(
    server: NatsServer, role: str
) -> None:
    refused = await refusals(server, role, DEEDS)
    kept_from_its_work = {deed.what for deed in refused if role in deed.roles}
    let_do_others = {deed.what for deed in DEEDS if role not in deed.roles} - {
        deed.what for deed in refused
    }
    assert (kept_from_its_work, let_do_others) == (set(), set())


def published() -> tuple[Deed, ...]:
    """Every subject of the AsyncAPI document, to be told and to be heard."""
    channels = yaml.safe_load((ROOT / "contracts/src/contracts/asyncapi.yaml").read_text())
    deeds = []
    for name, channel in channels["channels"].items():
        if channel["address"] is None:
            # An inbox, of which each role has its own.
            continue
        subject = re.sub(r"{\w+}", "x", channel["address"])
        deeds.append(Deed(name, "publish", subject, frozenset(channel["x-told-by"])))
        deeds.append(Deed(name, "subscribe", subject, frozenset()))
    return tuple(deeds)


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_tells_what_the_published_document_says_and_nothing_else(
    server: NatsServer, role: str
) -> None:
    deeds = published()
    assert len(deeds) > 60
    refused = await refusals(server, role, deeds)
    told = {deed.what for deed in deeds if deed.verb == "publish"}
    silent = {deed.what for deed in refused if deed.verb == "publish"}
    assert told - silent == {deed.what for deed in deeds if role in deed.roles}
    # Whoever may listen, may so by a rule that has a deed in the table.
    heard = {deed.subject for deed in deeds if deed.verb == "subscribe"}
    heard -= {deed.subject for deed in refused if deed.verb == "subscribe"}
    rules = [deed.subject for deed in DEEDS if deed.verb == "subscribe" and role in deed.roles]
    starts = tuple(rule.rstrip(">*") for rule in rules)
    assert [subject for subject in heard if not subject.startswith(starts or ("-",))] == []


def test_the_table_speaks_of_every_role_and_of_every_service() -> None:
    assert {*SERVICES, "admin"} == set(ROLES)
    for role in SERVICES:
        mine = [deed for deed in DEEDS if role in deed.roles]
        assert 3 <= len(mine) < len(DEEDS) / 2, role


def test_the_operations_page_shows_the_table_as_it_is() -> None:
    assert table() in (ROOT / "docs/operations.md").read_text()


async def test_a_stranger_is_not_let_in(server: NatsServer) -> None:
    with pytest.raises(nats.errors.Error):
        await nats.connect(server.address("admin").url, allow_reconnect=False)


async def test_a_seed_of_another_installation_is_not_let_in(
    server: NatsServer, tmp_path: Path
) -> None:
    other = Layout(tmp_path / "other")
    provision(other, Wanted("myspinbot.local", datetime.now(UTC)))
    with pytest.raises(nats.errors.Error):
        await nats.connect(
            server.address("admin").url,
            nkeys_seed=str(other.seeds / "admin.nk"),
            allow_reconnect=False,
        )


async def test_the_broker_syncs_each_event_before_it_says_that_it_has_it(
    server: NatsServer,
) -> None:
    admin = await connect(server.address("admin"))
    account = await admin.api("INFO")
    await admin.close()
    assert account["streams"] >= 7
    url = f"http://127.0.0.1:{server.monitor_port}/jsz"
    async with httpx.AsyncClient() as client:
        told = (await client.get(url)).json()["config"]
    assert told["sync_always"] is True
    # Both as in the file: 20GB and 256MB, of 1024 each.
    assert (told["max_storage"], told["max_memory"]) == (20 << 30, 256 << 20)


@pytest.fixture
async def listener(server: NatsServer) -> AsyncIterator[Broker]:
    """Somebody who hears what the victim of a forged delivery would."""
    broker = await connect(server.address("admin"))
    yield broker
    await broker.close()


async def test_a_consumer_that_pushes_still_gets_past_the_permissions(
    server: NatsServer, listener: Broker
) -> None:
    """What is known to remain (docs/operations.md, nats-server issue 8274).

    Should the broker come to refuse it, this fails, and the page has one warning less.
    """
    heard = await listener.client.subscribe(subjects.stop("forged", "s", 1))
    await listener.client.flush()
    projector = await connect(server.address("projector"))
    config = {
        "name": "forger",
        "deliver_subject": heard.subject,
        "ack_policy": "none",
        "deliver_policy": "all",
        "filter_subject": subjects.ALL_EVENTS,
        "mem_storage": True,
    }
    await projector.api(
        f"CONSUMER.CREATE.JOBS.forger.{subjects.ALL_EVENTS}",
        {"stream_name": "JOBS", "config": config},
    )
    delivered = await heard.next_msg(5)
    await projector.api("CONSUMER.DELETE.JOBS.forger")
    await projector.close()
    # It can only repeat what is in the log already, and never to the stream that it reads.
    assert json.loads(delivered.data)["owner"] == "me"


def test_users_of_unknown_roles_are_left_out() -> None:
    assert render_users({"stranger": "UABC"}) == '"authorization": {\n  "users": []\n}\n'
