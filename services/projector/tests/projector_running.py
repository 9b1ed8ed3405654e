"""A projector in this process, on a real broker and a real database, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from contracts.base import Contract
from contracts.events import Event
from contracts.queries import RESULTS, Query
from eventlog import rpc
from eventlog.broker import Broker, connect
from eventlog.log import EventLog
from projector import main
from projector.database import open_database
from projector.errors import DatabaseUnavailableError
from projector.positions import POSITION, slowest
from projector.projections import ALL
from servicekit.service import Service
from servicekit.settings import Environment
from sqlalchemy import select
from sqlalchemy.exc import ProgrammingError

from tests.support.broker import NatsServer


@dataclass(slots=True)
class Running:
    """A projector at work. `task` is its life; cancelling it is the kindest way to end it."""

    service: Service
    task: asyncio.Task[None]
    gateway: Broker

    async def ready(self) -> None:
        await self._until(lambda: self.service.readiness.ready)

    async def operator_is_told(self) -> str:
        """What /ready says that an operator has to do, once it does."""

        def said() -> list[str]:
            return [what for what in self.service.readiness.waiting_for if "operator" in what]

        await self._until(lambda: bool(said()))
        return said()[0]

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                if self.task.done():
                    self.task.result()
                    raise AssertionError("the projector ended")
                await asyncio.sleep(0.005)

    async def ask(self, query: Query) -> Contract:
        answer, position = await rpc.ask(self.gateway, query, RESULTS[query.subject])
        assert position >= query.min_position
        return answer


def environment(server: NatsServer, database_url: str) -> dict[str, str]:
    return {
        "MYSPINBOT_NATS_URL": server.address("projector").url,
        "MYSPINBOT_NATS_SEED": str(server.seeds["projector"]),
        "MYSPINBOT_DATABASE_URL": database_url,
    }


@asynccontextmanager
async def running(server: NatsServer, database_url: str) -> AsyncIterator[Running]:
    service = Service("projector", Environment(environment(server, database_url)))
    gateway = await connect(server.address("gateway"))
    task = asyncio.create_task(main.body(service))
    try:
        yield Running(service, task, gateway)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await gateway.close()


async def tell(log: EventLog, job: str, events: Sequence[Event]) -> int:
    """Append the events of a job that has none yet; returns the last sequence."""
    last = 0
    for first in range(0, len(events), 100):
        batch = [log.record(job, event) for event in events[first : first + 100]]
        last = await log.append(batch, expected=last)
    return last


async def rows_in(database_url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the views and their positions, in an order of its own."""
    database = open_database(database_url)
    found: dict[str, list[tuple[object, ...]]] = {}
    async with database.reading() as connection:
        for table in [POSITION, *(table for one in ALL for table in one.tables)]:
            rows = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name] = [tuple(row) for row in rows]
    await database.close()
    return found


async def position_in(database_url: str) -> int:
    """How far the views in a database are; 0 if there are none yet."""
    database = open_database(database_url)
    try:
        async with database.reading() as connection:
            return await slowest(connection, ALL)
    except (DatabaseUnavailableError, ProgrammingError):
        return 0
    finally:
        await database.close()
