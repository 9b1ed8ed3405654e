"""`myspinbot nats`: what another NATS client gets, and that it works with it."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from command_support import Command
from eventlog.broker import BrokerAddress, connect
from eventlog.log import EventLog
from eventlog.server_config import public_key, render
from eventlog.topology import ensure
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home, StackNote
from myspinbot.errors import MISUSED, REFUSED, UNREACHABLE

from contracts import events as e
from tests.support.broker import NatsServer
from tests.support.ports import free_ports


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home folder whose broker runs and has been noted, as by `up`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    home = Home(tmp_path / "home")
    port, monitor = free_ports(2)
    with home.hold():
        seeds = seed_files(home)
        folder = tmp_path / "nats"
        folder.mkdir()
        users = {role: public_key(path.read_bytes()) for role, path in seeds.items()}
        config = render(
            host="127.0.0.1", port=port, monitor_port=monitor, store=folder / "data", users=users
        )
        (folder / "nats.conf").write_text(config)
        server = NatsServer(folder, port, monitor, seeds)
        server.start()
        home.write_note(StackNote(pid=os.getpid(), ready=True, ports={"nats": port, "http": 1}))
        yield home
        server.kill()


def test_another_client_watches_with_the_context_alone(
    home: Home, command: Command, tmp_path: Path
) -> None:
    made = command("nats", "creds", "--read-only", "--json", "--home", str(home.root))
    assert made.status == 0, made.err
    told = json.loads(made.out)
    path = tmp_path / "config" / "nats" / "context" / "myspinbot.json"
    assert told["contextFile"] == str(path)
    context = json.loads(path.read_text())
    for private in (path, Path(context["nkey"])):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600

    async def watch() -> str:
        note = home.note()
        admin = await connect(BrokerAddress(note.nats, "admin", seed_files(home)["admin"]))
        await ensure(admin)
        client = await nats.connect(
            context["url"], nkeys_seed=context["nkey"], inbox_prefix=context["inbox_prefix"]
        )
        live = await client.subscribe("jobs.>")
        names = json.loads((await client.request("$JS.API.STREAM.NAMES", b"", 5)).data)
        assert "JOBS" in names["streams"]
        await EventLog(admin, "gateway").tell("j1", e.JobCancelRequested(by="me"))
        heard = await live.next_msg(5)
        await client.close()
        await admin.close()
        return heard.subject

    assert asyncio.run(watch()) == "jobs.j1.events.JobCancelRequested"


def test_a_copy_of_the_seed_is_for_its_owner_only(
    home: Home, command: Command, tmp_path: Path
) -> None:
    seed = tmp_path / "kept" / "watcher.nk"
    words = ("nats", "creds", "--out", str(seed), "--context", "work", "--home", str(home.root))
    # The same again changes nothing.
    for _ in range(2):
        made = command(*words)
        assert made.status == 0, made.err
    assert f"nkey seed: {seed}" in made.out
    assert "nats --context work sub 'jobs.>'" in made.err
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    assert seed.read_bytes() == seed_files(home)["observer"].read_bytes()
    context = tmp_path / "config" / "nats" / "context" / "work.json"
    assert json.loads(context.read_text())["nkey"] == str(seed)


def test_what_others_made_is_left_alone(home: Home, command: Command, tmp_path: Path) -> None:
    here = ("--home", str(home.root))
    contexts = tmp_path / "config" / "nats" / "context"
    contexts.mkdir(parents=True)
    (contexts / "theirs.json").write_text('{"description": "Theirs", "url": "nats://x"}')
    refused = command("nats", "creds", "--context", "theirs", *here)
    assert refused.status == REFUSED
    assert "--context" in refused.err
    assert "Theirs" in (contexts / "theirs.json").read_text()
    (tmp_path / "file").write_text("precious")
    refused = command("nats", "creds", "--out", str(tmp_path / "file"), *here)
    assert refused.status == REFUSED
    assert (tmp_path / "file").read_text() == "precious"
    odd = command("nats", "creds", "--context", "../x", *here)
    assert odd.status == MISUSED


def test_the_address_of_the_broker_is_told(home: Home, command: Command, tmp_path: Path) -> None:
    here = ("--home", str(home.root))
    assert command("nats", "url", *here).out == f"{home.note().nats}\n"
    assert json.loads(command("nats", "url", "--json", *here).out) == {"url": home.note().nats}
    for name in ("url", "creds"):
        away = command("nats", name, "--home", str(tmp_path / "nothing"))
        assert away.status == UNREACHABLE
        assert "myspinbot up" in away.err
