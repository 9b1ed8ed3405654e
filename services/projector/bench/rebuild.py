"""Measures how fast the views are rebuilt, beside the least that the same work could cost.

Fills a broker of its own with jobs, then per run: only reads the log; only folds it; rebuilds
all views in a fresh SQLite file; and writes the same rows with bare batched upserts.

    python -m services.projector.bench.rebuild [--events 100000] [--at-once 20] [--runs 3] [--cpu]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.reader import read_log
from eventlog.topology import ensure
from projector.database import Database, open_database
from projector.fold import changes
from projector.positions import open_positions
from projector.projections import ALL, jobs
from projector.track import BATCH, Track, rows_of

from services.projector.tests.projector_histories import job_id, story
from tests.support.broker import nats_server

Batch = Callable[[list[Recorded]], Awaitable[None]]
Clock = Callable[[], float]


async def fill(broker: Broker, events: int, at_once: int) -> int:
    """Jobs that go on side by side, `at_once` of them, a few events each in turn."""
    log, number, last = EventLog(broker, "bench"), 0, 0
    live: deque[tuple[str, int, list[Recorded]]] = deque()
    while last < events:
        if len(live) < at_once:
            job = job_id(number)
            told = [log.record(job, event) for event in story(job, checkpoints=3)]
            live.append((job, 0, told))
            number += 1
        job, expected, told = live.popleft()
        last = await log.append(told[:4], expected)
        if told[4:]:
            live.append((job, last, told[4:]))
    return last


async def over(broker: Broker, end: int, handle: Batch, clock: Clock) -> float:
    """Events per second of `handle` over the whole log, reading included."""
    start = clock()
    async for events in read_log(broker, 0):
        for first in range(0, len(events), BATCH):
            await handle(events[first : first + BATCH])
        if events[-1].sequence >= end:
            return end / (clock() - start)
    raise AssertionError("the log has no end")


@asynccontextmanager
async def fresh_database(broker: Broker) -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite+aiosqlite:///{folder}/views.db")
        log = await EventLog(broker, "projector").position()
        await open_positions(database, ALL, log)
        try:
            yield database
        finally:
            await database.close()


async def measure(broker: Broker, end: int, clock: Clock) -> dict[str, float]:
    speeds: dict[str, float] = {}

    async def nothing(_: list[Recorded]) -> None:
        pass

    speeds["read"] = await over(broker, end, nothing, clock)
    states: dict[str, JobState] = {}

    async def fold(events: list[Recorded]) -> None:
        for event in events:
            states[event.job] = evolve(states.get(event.job) or initial(event.job), event)

    speeds["read and fold"] = await over(broker, end, fold, clock)
    async with fresh_database(broker) as database:
        track = Track(database, ALL, jobs.PROJECTION, 0)
        speeds["rebuild"] = await over(broker, end, track.apply, clock)
    speeds["bare upserts"] = await bare(broker, end, clock)
    return speeds


async def bare(broker: Broker, end: int, clock: Clock) -> float:
    """Events per second of writing the rows of all views, ready-made, 500 events at once."""
    spent = 0.0
    states: dict[str, JobState] = {}
    async with fresh_database(broker) as database:

        async def write(events: list[Recorded]) -> None:
            nonlocal spent
            batch = changes(states, events)
            states.update((change.after.job, change.after) for change in batch)
            tables = rows_of(ALL, batch)
            start = clock()
            async with database.writing() as connection:
                for table, rows in tables:
                    await database.upsert(connection, table, rows)
            spent += clock() - start

        await over(broker, end, write, clock)
    return end / spent


async def main(arguments: argparse.Namespace, clock: Clock) -> None:
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        end = await fill(broker, arguments.events, arguments.at_once)
        runs = [await measure(broker, end, clock) for _ in range(arguments.runs)]
        await broker.close()
    write = sys.stdout.write
    write(f"{end} events, {arguments.at_once} jobs at once, median of {len(runs)} runs\n")
    for name in runs[0]:
        write(f"{name:>14}: {statistics.median(run[name] for run in runs):10,.0f} events/s\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write(f"{'peak memory':>14}: {peak:10,.0f} MiB\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="processor time, for a busy machine")
    given = parser.parse_args()
    uvloop.run(main(given, time.process_time if given.cpu else time.perf_counter))
