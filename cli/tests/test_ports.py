"""Which ports a stack gets."""

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from myspinbot.embedded import ports
from myspinbot.embedded.ports import (
    GRPC_OFFSET,
    NAMES,
    PREFERRED_HTTP,
    Claims,
    PortTakenError,
    choose,
)


def any_port(_port: int) -> bool:
    return True


def test_every_name_gets_a_port_of_its_own() -> None:
    chosen = choose({}, None, start=7, free=any_port)
    assert set(chosen) == set(NAMES)
    assert len(set(chosen.values())) == len(NAMES)


def test_the_page_is_at_the_address_that_is_easy_to_remember() -> None:
    assert choose({}, None, start=7, free=any_port)["http"] == PREFERRED_HTTP


def test_ports_of_an_earlier_run_are_taken_again() -> None:
    before = choose({}, None, start=7, free=any_port)
    assert choose(before, None, start=900, free=any_port) == before


def test_a_port_that_somebody_else_took_is_replaced() -> None:
    before = choose({}, None, start=7, free=any_port)
    after = choose(before, None, start=7, free=lambda port: port != before["nats"])
    assert after["nats"] != before["nats"]
    assert len(set(after.values())) == len(NAMES)


def test_the_store_needs_a_second_port_at_a_distance() -> None:
    before = choose({}, None, start=7, free=any_port)
    after = choose(before, None, start=7, free=lambda p: p != before["s3"] + GRPC_OFFSET)
    assert after["s3"] != before["s3"]
    assert after["nats"] == before["nats"]


def test_the_port_that_was_asked_for_is_used_or_refused() -> None:
    assert choose({"http": 9000}, 9100, start=7, free=any_port)["http"] == 9100
    with pytest.raises(PortTakenError, match="Port 9100 is in use"):
        choose({}, 9100, start=7, free=lambda port: port != 9100)


def test_a_machine_without_free_ports_is_told_so() -> None:
    with pytest.raises(PortTakenError, match="No loopback port is free"):
        choose({}, None, start=7, free=lambda _port: False)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not ports.is_free(taken)
    assert ports.is_free(taken)


ANOTHER = """
import sys
from pathlib import Path
from myspinbot.embedded.ports import Claims
claims = Claims(Path(sys.argv[1]))
print([claims.take(int(port)) for port in sys.argv[2:]], flush=True)
sys.stdin.read()
"""


def test_a_port_that_another_stack_has_chosen_is_not_taken_before_that_has_ended(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        chosen = server.getsockname()[1]
    words = [sys.executable, "-c", ANOTHER, str(tmp_path), str(chosen)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[True]\n"
        with closing(Claims(tmp_path)) as claims:
            assert not claims.take(chosen)
            other.communicate(timeout=20)
            assert claims.take(chosen)


def test_a_port_with_a_listener_cannot_be_claimed(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        closing(Claims(tmp_path)) as claims,
    ):
        assert not claims.take(server.getsockname()[1])
