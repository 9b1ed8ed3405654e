"""`make bench-replay`: how fast the log is folded, views are rebuilt, and one job is found.

A real broker with whole jobs of some forty events, twenty at a time, and a fresh SQLite file for
each rebuild. In the same run stand the floors: reading the log without understanding it, and
writing the same rows, ready-made, without reading it.

    python -m tests.load.replay [--events 1000000] [--runs 3] [--cpu]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvloop
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState
from eventlog.broker import Broker, BrokerAddress, connect
from eventlog.log import EventLog
from eventlog.reader import read_log, read_stored_log
from eventlog.topology import ensure
from projector import collector
from projector.projections import ALL, jobs
from projector.reading import read_to
from projector.track import Track
from projector.writer import writing

from tests.load.replay_floor import Clock, floor, views
from tests.load.replay_log import Filled, add_jobs, fill
from tests.support.broker import nats_server
from tests.support.goals import Goals

MIB = 1 << 20
JOBS = 10_000
LOOK_UPS = 300


@dataclass(slots=True)
class Passage:
    """One way through the whole log: how long it took, and what at a tenth of it."""

    end: int
    clock: Clock
    seconds: float = 0.0
    tenth_s: float = 0.0
    tenth_bytes: int = 0
    peak_bytes: int = 0

    async def go(
        self,
        batches: AsyncGenerator[Sequence[Any], None],
        handle: Callable[[Sequence[Recorded]], Awaitable[None]] | None = None,
    ) -> Passage:
        """Read to the end, and hand each batch on."""
        began = self.clock()
        async with aclosing(batches) as reading:
            async for events in reading:
                if handle:
                    await handle(events)
                self._look(events[-1].sequence, self.clock() - began)
                if events[-1].sequence >= self.end:
                    break
        return self

    def _look(self, sequence: int, spent_s: float) -> None:
        self.seconds = spent_s
        memory = psutil.Process().memory_info().rss
        self.peak_bytes = max(self.peak_bytes, memory)
        if not self.tenth_s and sequence >= self.end / 10:
            self.tenth_s, self.tenth_bytes = spent_s * self.end / 10 / sequence, memory

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.end / self.seconds

    @property
    def slowing(self) -> float:
        """Time per event over the whole log, of that over its first tenth."""
        return self.seconds / 10 / self.tenth_s

    @property
    def growth_mib(self) -> float:
        """Resident memory at its peak, above that at a tenth of the log."""
        return (self.peak_bytes - self.tenth_bytes) / MIB


@dataclass(slots=True)
class Run:
    """All measurements, once."""

    raw: Passage
    fold: Passage
    rebuild: Passage
    driver: float
    core: float


class Folder:
    """Folds jobs, and forgets those that have ended, as a service does."""

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}

    async def __call__(self, events: Sequence[Recorded]) -> None:
        states = self.states
        for event in events:
            state = evolve(states.get(event.job) or initial(event.job), event)
            states[event.job] = state
            if state.status.ended:
                del states[event.job]


def once(address: BrokerAddress, end: int, clock: Clock) -> Run:
    """One run of everything that goes through the whole log, in a process that did nothing else."""
    collector.calm()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_ways(address, end, clock))


async def all_ways(address: BrokerAddress, end: int, clock: Clock) -> Run:
    """Reading, folding, rebuilding, and the floor of it."""
    broker = await connect(address)
    log = await EventLog(broker, "bench").position()
    raw = told("reading", await Passage(end, clock).go(read_stored_log(broker, 0)))
    fold = told("fold", await Passage(end, clock).go(read_log(broker, 0), Folder()))
    async with views(log) as (database, _):
        track = Track(database, ALL, jobs.PROJECTION, 0)
        async with writing(database, end) as write:
            written = track.follow(read_to(broker, 0, end), write)
            rebuild = told("rebuild", await Passage(end, clock).go(written))
    bare = await floor(broker, end, log, clock)
    await broker.close()
    run = Run(raw, fold, rebuild, end / bare.driver_s, end / bare.core_s)
    print(f"  bare upserts {run.driver:,.0f}/s, through SQLAlchemy {run.core:,.0f}/s", flush=True)
    return run


async def in_a_process(work: Callable[..., Run], *given: object) -> Run:
    """What the work returns, done in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))


def told(name: str, passage: Passage) -> Passage:
    """Print how it went: a million events take a while."""
    print(
        f"  {name} {passage.rate:,.0f} events/s, {passage.slowing:.2f} x the time of a tenth, "
        f"{passage.peak_bytes / MIB:.0f} MiB at the peak",
        flush=True,
    )
    return passage


async def look_ups(broker: Broker, filled: Filled) -> list[float]:
    """Milliseconds to the state of one job, of jobs from all over the log."""
    log = EventLog(broker, "bench")
    taken = []
    for job in random.Random(7).sample(filled.jobs, LOOK_UPS):
        start = time.perf_counter()
        state = await log.fold(job)
        taken.append((time.perf_counter() - start) * 1000)
        assert state.status.ended
    return sorted(taken)


async def measure(events: int, runs: int, clock: Clock) -> Goals:
    """A log, the runs, the figures."""
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        began = time.perf_counter()
        filled = await fill(broker, events)
        took = time.perf_counter() - began
        print(f"{filled.end:,} events of {len(filled.jobs):,} jobs, told in {took:.0f} s")
        done = [
            await in_a_process(once, server.address("admin"), filled.end, clock)
            for _ in range(runs)
        ]
        await add_jobs(filled, JOBS)
        taken = await look_ups(broker, filled)
        await broker.close()
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return judged(done, taken, len(filled.jobs))


def judged(runs: list[Run], taken: list[float], jobs: int) -> Goals:
    """The figures beside the goals: medians of the runs, and of memory the worst."""
    goals = Goals("replay")

    def median(value: Callable[[Run], float]) -> float:
        return statistics.median(value(run) for run in runs)

    print(f"reading alone: {median(lambda run: run.raw.rate):,.0f} events/s")
    print(f"bare upserts, SQLAlchemy: {median(lambda run: run.core):,.0f} events/s")
    print(f"bare upserts, driver alone: {median(lambda run: run.driver):,.0f} events/s")
    of_driver = median(lambda run: run.rebuild.rate / run.driver)
    print(f"rebuild, of the driver alone: {of_driver:.2f} x")
    rare = taken[len(taken) * 99 // 100]
    print(f"one of {jobs:,} jobs: 99 of 100 within {rare:.0f} ms, all within {taken[-1]:.0f} ms")
    goals.at_least("fold", median(lambda run: run.fold.rate), 25_000, "events/s")
    goals.at_least("fold, of reading", median(lambda run: run.fold.rate / run.raw.rate), 0.4, "x")
    goals.at_least("rebuild", median(lambda run: run.rebuild.rate), 10_000, "events/s")
    goals.at_least(
        "rebuild, of bare upserts", median(lambda run: run.rebuild.rate / run.core), 0.7, "x"
    )
    goals.at_most("state of one job", statistics.median(taken), 20, "ms")
    for name, way in (("fold", lambda run: run.fold), ("rebuild", lambda run: run.rebuild)):
        growth = max(way(run).growth_mib for run in runs)
        goals.at_most(f"{name}: memory beyond a tenth", growth, 32, "MiB")
        slowing = median(lambda run, way=way: way(run).slowing)
        goals.at_most(f"{name}: time per event, of a tenth", slowing, 1.25, "x")
    return goals


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time, for a busy machine")
    given = parser.parse_args()
    collector.calm()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        clock = time.process_time if given.cpu else time.perf_counter
        runner.run(measure(given.events, given.runs, clock)).print()


if __name__ == "__main__":
    main()
