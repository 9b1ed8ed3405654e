"""`make bench-live`: how late five hundred clients hear of what happens to one job.

A real broker, object store, projector and gateway; a writer that tells events and posts
progress as a training does; and the clients in one other process: 450 sockets that listen, 50
that never read, and 50 event streams. Every message carries the time at which it was written,
so lag is from there to the client's receipt, by the one clock of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import uvloop
from contracts.artifacts import Artifact
from contracts.commands import Lane
from contracts.graph import Graph, Stage
from contracts.progress import StageProgress
from eventlog.board import Board
from eventlog.broker import connect
from eventlog.log import EventLog

from contracts import events as e
from contracts import subjects
from services.gateway.tests.gateway_stack import Stack, running_stack
from tests.load.live_clients import Plan
from tests.support.goals import Goals

MIB = 1 << 20
JOB = "watched"
STAGE = "train_lora"


@dataclass(slots=True)
class Memory:
    """The gateway's resident memory and processor time over a run."""

    process: psutil.Process
    idle: int = 0
    peak: int = 0
    _cpu_s: float = 0.0
    _begun: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """What it is before the clients come."""
        self.idle = self.process.memory_info().rss

    def begin_cpu(self) -> None:
        """Count processor time from now on."""
        self._cpu_s, self._begun = self._spent_s(), time.monotonic()

    def look(self) -> None:
        """Note the peak."""
        self.peak = max(self.peak, self.process.memory_info().rss)

    def cores(self) -> float:
        """Processors that were busy on its behalf since `begin_cpu`."""
        return (self._spent_s() - self._cpu_s) / (time.monotonic() - self._begun)

    def _spent_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass(slots=True)
class Writer:
    """Tells and posts what a runner would, as often as a real training does."""

    log: EventLog
    board: Board
    told: int = 0
    posted: int = 0

    async def begin(self) -> None:
        """A job whose training runs."""
        graph = Graph(stages=tuple(Stage(id=name, kind=name) for name in (STAGE, "train_voice")))
        await self.log.tell(JOB, e.JobRequested(type=e.JobType.TRAIN, owner="local"))
        await self.log.tell(JOB, e.JobPlanned(graph=graph))
        await self.log.tell(
            JOB,
            e.StageScheduled(
                stage=STAGE,
                attempt=1,
                kind=STAGE,
                engine="mini",
                engine_version="1",
                lane=Lane.GPU,
                params={},
                inputs={},
                input_hash="0" * 64,
                seed=0,
            ),
        )
        started = e.StageStarted(stage=STAGE, attempt=1, runner="r1", device="cpu")
        await self.log.tell(JOB, started)

    async def write(self, seconds: float, each_s: float, look: Callable[[], None]) -> None:
        """Progress every `each_s`, a sample every second."""
        steps = int(seconds / each_s)
        begun = time.monotonic()
        for step in range(1, steps + 1):
            await self._post(step, steps)
            if step % round(1 / each_s) == 0:
                await self._tell(step)
                look()
            await asyncio.sleep(max(begun + step * each_s - time.monotonic(), 0))

    async def _post(self, step: int, steps: int) -> None:
        note = StageProgress(
            job=JOB,
            stage=STAGE,
            attempt=1,
            fraction=step / steps,
            high=step / steps,
            done=step,
            total=steps,
            unit="step",
            message=f"@{time.time_ns()}@ loss 0.407",
            rate=10.0,
            eta_s=(steps - step) / 10,
            at=datetime.now(UTC),
        )
        self.posted += 1
        await self.board.post(subjects.progress(JOB, STAGE), note.to_json())

    async def _tell(self, step: int) -> None:
        artifact = Artifact(key=f"s/{step}", size=1, sha256="0" * 64, media_type="image/webp")
        sampled = e.StageSampled(
            stage=STAGE, attempt=1, step=step, caption=f"@{time.time_ns()}@", artifact=artifact
        )
        self.told += 1
        await self.log.tell(JOB, sampled)


async def measure(stack: Stack, plan: Plan, seconds: float, each_s: float) -> Goals:
    """Clients, writing, the figures."""
    broker = await connect(stack.server.address("admin"))
    writer = Writer(
        EventLog(broker, "bench"), Board(broker, subjects.PROGRESS, subjects.ALL_PROGRESS)
    )
    await writer.begin()
    assert stack.gateway.process is not None
    memory = Memory(psutil.Process(stack.gateway.process.pid))
    await asyncio.sleep(1)
    memory.begin()
    clients = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "tests.load.live_clients", stack.url, JOB, plan.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert clients.stdout is not None
    assert clients.stdin is not None
    print(await asyncio.to_thread(clients.stdout.readline), end="")
    memory.begin_cpu()
    await writer.write(seconds, each_s, memory.look)
    cores = memory.cores()
    await asyncio.sleep(1)
    memory.look()
    clients.stdin.close()
    heard = json.loads(await asyncio.to_thread(clients.stdout.read))
    clients.wait()
    await broker.close()
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{writer.posted} words of progress and {writer.told} events were written")
    print(f"gateway: {cores:.2f} of a core, {memory.idle / MIB:.0f} MiB before the clients")
    return judged(heard, writer, memory)


def judged(heard: dict[str, dict[str, list[float]]], writer: Writer, memory: Memory) -> Goals:
    """The figures beside the goals."""
    goals = Goals("live")
    for way, found in heard.items():
        lags = sorted(found["lags_ms"])
        cut = statistics.quantiles(lags, n=100)
        print(f"{way}: {len(lags)} messages; lag p50 {cut[49]:.1f} ms, max {lags[-1]:.1f} ms")
        goals.at_most(f"{way}: lag, p99", cut[98], 100, "ms")
        goals.at_most(f"{way}: events missed", sum(found["missed"]), 0, "events")
    goals.at_most("gateway: memory above idle", (memory.peak - memory.idle) / MIB, 60, "MiB")
    return goals


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--each", type=float, default=0.1, help="seconds between two notes")
    parser.add_argument("--sockets", type=int, default=450)
    parser.add_argument("--silent", type=int, default=50)
    parser.add_argument("--streams", type=int, default=50)
    given = parser.parse_args()
    plan = Plan(given.sockets, given.silent, given.streams)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder)) as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(stack, plan, given.seconds, given.each)).print()


if __name__ == "__main__":
    main()
