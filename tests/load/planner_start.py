"""`make bench-start`: how long the planner takes to be ready, with and without its snapshot.

A real broker with whole jobs, and the planner's own process, timed from its start until it
says on /ready that it has read the log.

    python -m tests.load.planner_start [--events 100000] [--runs 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from eventlog.broker import connect
from eventlog.topology import ensure
from planner.snapshots import FILE

from tests.load.replay_log import fill
from tests.support.broker import NatsServer, nats_server
from tests.support.goals import Goals
from tests.support.ports import free_ports
from tests.support.service import Program

MB = 1_000_000


async def filled(server: NatsServer, events: int) -> int:
    """A log of about so many events; how many there are."""
    broker = await connect(server.address("admin"))
    await ensure(broker)
    end = (await fill(broker, events)).end
    await broker.close()
    return end


def planner(server: NatsServer, folder: Path) -> Program:
    (port,) = free_ports(1)
    settings = {
        "MYSPINBOT_NATS_URL": server.address("planner").url,
        "MYSPINBOT_NATS_SEED": str(server.seeds["planner"]),
        "MYSPINBOT_ADMIN_PORT": str(port),
        "MYSPINBOT_SNAPSHOTS": str(folder / "snapshots"),
    }
    ready = f"http://127.0.0.1:{port}/ready"
    return Program("planner.main", settings, ready, folder / "planner.log")


def started(program: Program) -> float:
    """Seconds until it is ready."""
    began = time.perf_counter()
    program.start()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, nats_server(Path(name) / "nats") as server:
        folder = Path(name)
        program = planner(server, folder)
        asyncio.run(filled(server, 0))
        empty = started(program)
        program.stop()
        end = asyncio.run(filled(server, given.events))
        snapshot = folder / "snapshots" / FILE
        cold, warm, stops = [], [], []
        for _ in range(given.runs):
            snapshot.unlink(missing_ok=True)
            cold.append(started(program))
            began = time.perf_counter()
            program.stop()
            stops.append(time.perf_counter() - began)
            warm.append(started(program))
            program.stop()
        size = snapshot.stat().st_size
    without, with_it = statistics.median(cold), statistics.median(warm)
    print(f"{end:,} events; median of {given.runs}; the snapshot is {size / MB:.1f} MB")
    print(f"ready with an empty log after {empty:.2f} s, without a snapshot after {without:.2f} s")
    print(f"it stops, and writes its snapshot, in {statistics.median(stops):.2f} s")
    goals = Goals("Planner's start")
    goals.at_most("ready with a snapshot", with_it, 2.0, "s")
    goals.at_least("times as fast as without", without / with_it, 3.0, "x")
    goals.print()


if __name__ == "__main__":
    main()
