"""The administrative step that makes the streams, on a broker that is one server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from eventlog.broker import connect
from eventlog.topology import derived_streams, lasting_streams
from servicekit.settings import Environment, SettingsError

from tests.support.broker import NatsServer, nats_server


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as running:
        yield running


def make(
    server: NatsServer, role: str = "admin", **settings: str
) -> subprocess.CompletedProcess[str]:
    own = {
        "MYSPINBOT_NATS_URL": server.address(role).url,
        "MYSPINBOT_NATS_SEED": str(server.seeds[role]),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "servicekit.streams"],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_all_streams_are_made_and_may_be_made_again(own_server: NatsServer) -> None:
    for _ in range(2):
        done = make(own_server)
        assert done.returncode == 0, done.stderr
    broker = await connect(own_server.address("admin"))
    for config in (*lasting_streams(), *derived_streams()):
        info = await broker.api(f"STREAM.INFO.{config['name']}")
        assert info["config"]["num_replicas"] == 1
    await broker.close()


def test_one_server_cannot_keep_three_replicas_and_says_so(own_server: NatsServer) -> None:
    done = make(own_server, MYSPINBOT_STREAM_REPLICAS="3")
    assert done.returncode == 1
    assert "streams.refused" in done.stderr
    assert "replicas" in done.stderr


def test_only_the_administrator_may_make_streams(own_server: NatsServer) -> None:
    done = make(own_server, role="gateway")
    assert done.returncode == 1
    assert "streams.refused" in done.stderr


@pytest.mark.parametrize("wrong", ["2", "none", "0"])
def test_a_number_of_replicas_that_makes_no_majority_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="1, 3 or 5"):
        Environment({"MYSPINBOT_STREAM_REPLICAS": wrong}).stream_replicas()
