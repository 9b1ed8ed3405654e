"""The notary, as Compose and Kubernetes start it: the same work with the same key, really done.

Each starts the same program with its own words. Here these words are run against a real broker,
with the addresses of this machine in place of those of containers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.events import JobRequested, JobType
from eventlog.broker import Broker, connect
from eventlog.checkpoints import is_genuine, read_checkpoints
from eventlog.log import EventLog
from eventlog.server_config import public_key
from eventlog.topology import ensure
from myspinbot.errors import UNREACHABLE

from contracts import subjects
from tests.support.broker import NatsServer, nats_server
from tests.support.compose import ROOT, services
from tests.support.kubernetes import (
    OVERLAYS,
    container,
    name_of,
    rendered,
    settings,
    templates,
)

PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Told:
    """What a container is told: the words after its image's own, and variables."""

    image: str
    words: tuple[str, ...]
    environment: dict[str, str]
    url: str
    seed: str
    """Where it finds its key."""

    def here(self, server: NatsServer, home: Path) -> tuple[list[str], dict[str, str]]:
        """The same words and variables for a broker on this machine."""
        real = server.address("notary")
        places = {
            self.url: real.url,
            self.seed: str(real.seed_file),
            self.environment["MYSPINBOT_HOME"]: str(home),
        }
        words = [places.get(word, word) for word in self.words]
        path = {"PATH": os.pathsep.join((str(PROGRAMS), os.environ["PATH"]))}
        variables = {key: places.get(value, value) for key, value in self.environment.items()}
        return words, path | variables


def by_compose() -> Told:
    service = services((), ())["notary"]
    (secret,) = service["secrets"]
    assert secret["source"] == "nkey_notary"
    words = tuple(service["command"])
    return Told(
        image=service["image"],
        words=words,
        environment=service["environment"],
        url=words[words.index("--nats") + 1],
        seed=f"/run/secrets/{secret['target']}",
    )


def by_kubernetes(overlay: str) -> Told:
    objects = rendered(overlay)
    (template,) = (each for _, each in templates(objects) if name_of(each) == "notary")
    own, variables = container(template), settings(template, objects)
    assert "command" not in own, "the image starts the program"
    # https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container
    words = tuple(re.sub(r"\$\((\w+)\)", lambda m: variables[m[1]], word) for word in own["args"])
    return Told(
        image=own["image"].removeprefix("registry.example.org/"),
        words=words,
        environment=variables,
        url=words[words.index("--nats") + 1],
        seed=variables["MYSPINBOT_NATS_SEED"],
    )


EVERYWHERE = {"compose": by_compose()} | {overlay: by_kubernetes(overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("admin"))
    await ensure(broker)
    yield broker
    await broker.close()


@contextmanager
def running(words: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [PROGRAMS / "myspinbot", *words], env=variables, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _said(words: str, variables: dict[str, str]) -> str:
    command = ["/bin/sh", "-c", words]
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


def test_compose_and_kubernetes_let_it_do_the_same_equally_often() -> None:
    images = {told.image for told in EVERYWHERE.values()}
    assert images == {services()["cli"]["image"]}
    work = {told.words[: told.words.index("--nats")] for told in EVERYWHERE.values()}
    assert work == {("events", "checkpoint", "--every", "1h")}


def test_in_a_cluster_it_knows_every_broker() -> None:
    assert len(EVERYWHERE["cluster"].url.split(",")) == 3
    assert EVERYWHERE["single-node"].url == EVERYWHERE["compose"].url


@pytest.mark.parametrize("where", EVERYWHERE)
async def test_what_it_is_told_is_enough_to_sign_the_log(
    where: str, server: NatsServer, admin: Broker, tmp_path: Path
) -> None:
    job = f"signed-by-{where}"
    await EventLog(admin, "gateway").tell(job, JobRequested(type=JobType.TRAIN, owner="ada"))
    words, variables = EVERYWHERE[where].here(server, tmp_path / "home")
    with running(words, variables) as notary:
        assert notary.stdout is not None
        signed = notary.stdout.readline().strip()
        assert notary.poll() is None, "it goes on"
    newest = [each async for each in read_checkpoints(admin)][-1]
    assert newest.id == signed
    assert is_genuine(newest)
    assert newest.key_id == public_key(server.seeds["notary"].read_bytes())
    last = await EventLog(admin, "cli").last(subjects.job_events(job))
    assert last is not None
    assert newest.last_sequence == last.sequence


@pytest.mark.usefixtures("admin")
async def test_the_words_of_the_documentation_find_what_was_signed(
    server: NatsServer, tmp_path: Path
) -> None:
    page = (ROOT / "docs/kubernetes.md").read_text().replace("\\\n", "")
    asked = re.findall(r"^kubectl -n myspinbot exec deployment/notary -- (.+)$", page, re.MULTILINE)
    _, variables = EVERYWHERE["single-node"].here(server, tmp_path / "home")
    key, listed = (_said(words, variables) for words in asked)
    assert key.strip() == public_key(server.seeds["notary"].read_bytes())
    assert "checkpoints" in json.loads(listed)


async def test_it_ends_if_the_broker_is_away_when_it_is_to_sign_again(tmp_path: Path) -> None:
    with nats_server(tmp_path / "broker") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        await EventLog(broker, "gateway").tell("j", JobRequested(type=JobType.TRAIN, owner="ada"))
        await broker.close()
        words, variables = EVERYWHERE["compose"].here(server, tmp_path / "home")
        words[words.index("1h")] = "1s"
        with running(words, variables) as notary:
            assert notary.stdout is not None
            assert notary.stdout.readline()
            server.kill()
            assert notary.wait(60) == UNREACHABLE
