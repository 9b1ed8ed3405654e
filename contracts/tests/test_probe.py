"""The health check of our images, against the server that it asks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from servicekit import admin
from servicekit.admin import Readiness

from tests.support.ports import free_ports


def probe(*arguments: str) -> int:
    command = [sys.executable, "-m", "servicekit.probe", *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


def test_a_service_is_ready_when_it_waits_for_nothing() -> None:
    readiness, port = Readiness(), free_ports(1)[0]
    stop = admin.serve(port, readiness)
    try:
        assert probe(str(port)) == 1
        readiness.reached("start")
        assert probe(str(port)) == 0
        readiness.lost("broker")
        assert probe(str(port)) == 1
    finally:
        stop()


def test_nobody_who_listens_is_not_ready() -> None:
    assert probe(str(free_ports(1)[0])) == 1


@pytest.mark.parametrize("arguments", [(), ("http",), ("1", "2")])
def test_a_probe_without_a_port_says_how_it_is_used(arguments: tuple[str, ...]) -> None:
    assert probe(*arguments) == 2
