"""A service that is told to stop while its broker is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop
from eventlog.broker import BrokerAddress, connect
from eventlog.errors import UnavailableError

from tests.support.broker import nats_server
from tests.support.ports import free_ports


async def _cancelled_at_every_turn(address: BrokerAddress) -> list[int]:
    """After how many turns of the event loop a cancelled connection attempt goes on."""
    deaf = []
    for turns in range(40):
        attempt = asyncio.create_task(connect(address))
        for _ in range(turns):
            await asyncio.sleep(0)
        attempt.cancel()
        done, _ = await asyncio.wait({attempt}, timeout=5)
        if not done:
            deaf.append(turns)
            while not attempt.done():
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=0.1)
    return deaf


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_stopping_is_heard_at_whatever_moment_the_connection_is_refused(loop_factory) -> None:
    address = BrokerAddress(f"nats://127.0.0.1:{free_ports(1)[0]}", "planner")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(_cancelled_at_every_turn(address)) == []


async def test_a_lost_connection_is_closed_although_something_was_left_to_say(
    tmp_path: Path,
) -> None:
    lost = asyncio.Event()
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("observer"))
        broker.on_disconnect(lost.set)
        server.kill()
        async with asyncio.timeout(10):
            await lost.wait()
        with pytest.raises(UnavailableError):
            await broker.request("$JS.API.STREAM.NAMES", timeout=0.1)
        await broker.close()
    assert not broker.connected
