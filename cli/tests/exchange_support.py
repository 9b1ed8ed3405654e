"""Logs that are filled with recorded histories, to be taken elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from command_support import Command, Done
from contracts.artifacts import Artifact
from contracts.envelope import Stored, store
from contracts.holdings import Holdings
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from eventlog.span import extent, read_span
from eventlog.topology import ensure

from tests.support.broker import NatsServer, nats_server
from tests.support.histories import history_files, load

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Installation:
    """A broker with a log, and the commands as somebody would type them who means it."""

    server: NatsServer
    run: Command

    def doing(self, work: Callable[[Broker], Awaitable[Result]]) -> Result:
        """Something at the broker, as its administrator."""

        async def go() -> Result:
            admin = await connect(self.server.address("admin"))
            try:
                return await work(admin)
            finally:
                await admin.close()

        return asyncio.run(go())

    def events(self) -> list[Stored]:
        """The whole log as it is written."""

        async def read(admin: Broker) -> list[Stored]:
            end = (await extent(admin)).end
            return [one async for batch in read_span(admin, 0, end) for one in batch]

        return self.doing(read)

    def _as(self, role: str) -> tuple[str, ...]:
        address = self.server.address(role)
        return ("--nats", address.url, "--seed", str(address.seed_file))

    def export(self, *words: str) -> Done:
        return self.run("events", "export", *words, *self._as("observer"))

    def take(self, *words: str) -> Done:
        """`events import`."""
        return self.run("events", "import", *words, *self._as("admin"))

    def verify(self, *words: str) -> Done:
        return self.run("events", "verify", *words, *self._as("observer"))

    def checkpoint(self, *words: str) -> Done:
        return self.run("events", "checkpoint", *words, *self._as("notary"))


@contextmanager
def installation(folder: Path, command: Command) -> Iterator[Installation]:
    with nats_server(folder) as server:
        made = Installation(server, command)
        made.doing(ensure)
        yield made


def histories() -> list[list[Stored]]:
    """Every recorded job, with chain values as it would have them today, the oldest first."""
    jobs = []
    for path in history_files():
        chain, stored = "", []
        for each in load(path):
            chain = store(each).linked(chain)
            stored.append(store(each._replace(chain=chain)))
        jobs.append(stored)
    return sorted(jobs, key=lambda events: events[0].headers["ce-time"])


async def fill(admin: Broker) -> None:
    """All recorded jobs, their events in turn as they are in a log that lives."""
    log = EventLog(admin, "test")
    waiting = [list(events) for events in histories()]
    ends = [0] * len(waiting)
    while any(waiting):
        for number, events in enumerate(waiting):
            if events:
                ends[number] = await log.copy(events[:3], ends[number])
                del events[:3]


def by_job(events: Sequence[Stored]) -> dict[str, list[tuple[dict[str, str], bytes]]]:
    """What each job's events say; where they stand in a stream is no part of it."""
    jobs: dict[str, list[tuple[dict[str, str], bytes]]] = {}
    for stored in events:
        jobs.setdefault(stored.job, []).append((dict(stored.headers), stored.body))
    return jobs


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def objects_of(events: Sequence[Stored]) -> list[Artifact]:
    """Everything that the events speak of."""
    holdings = Holdings()
    for stored in events:
        holdings.add(stored.job, stored.recorded().event)
    return [artifact for artifact, _ in holdings.named()]
