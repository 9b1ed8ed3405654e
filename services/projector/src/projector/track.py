"""Carries projections along the log: fold a batch, write its rows and the position, together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from contracts.envelope import Recorded
from contracts.job import JobState
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from projector.database import Database, Row
from projector.fold import Change, changes, latest
from projector.projection import Projection
from projector.projections import jobs
from projector.transaction import Transaction, Writer

T = TypeVar("T")
Key = Callable[[Row], object]
Around = Callable[[Sequence[Recorded]], AbstractContextManager[None]]
"""What is to happen around the writing of a batch."""

BATCH = 1000
"""Events per transaction."""
_KEPT_STATES = 256


def _nothing(_events: Sequence[Recorded]) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a transaction writes, and the states of its jobs after it."""

    events: Sequence[Recorded]
    transaction: Transaction
    states: Mapping[str, JobState]


class Track:
    """Projections that are all at the same position.

    `states` is the one among them whose table holds the folded jobs. `position` is the
    sequence of the last event in their rows. After an error the track may know less than
    the database does: make a new one from the positions there.
    """

    def __init__(
        self,
        database: Database,
        projections: Sequence[Projection],
        states: Projection,
        position: int,
    ) -> None:
        if states not in projections:
            raise ValueError(f"the track must carry {states.name} itself to fold jobs from it")
        self._database = database
        self._projections = tuple(projections)
        self._keys = tuple(one.key for one in projections)
        self._table = states.tables[0]
        self._states: OrderedDict[str, JobState] = OrderedDict()
        self._unwritten: deque[_Batch] = deque()
        self._prepared = position
        # Ids grow with time. Whoever has seen all events knows by the greatest one, without asking
        # the database, that a job with a greater one is new.
        self._greatest = "" if position == 0 else None
        self.position = position

    async def apply(self, events: Sequence[Recorded]) -> None:
        """Write what the events change: all of it and the position, or nothing.

        Takes the events that follow the position, at most `BATCH` of them. Raises
        PositionMovedError if another projector has written them, DatabaseUnavailableError.
        """
        batch = await self._prepare(events)
        await batch.transaction.carry_out(self._database)
        self._written(batch)

    async def apply_in(self, connection: AsyncConnection, events: Sequence[Recorded]) -> None:
        """The same within a transaction of the caller's, on which it depends whether it counts."""
        batch = await self._prepare(events, connection)
        await batch.transaction.carry_out_in(self._database, connection)
        self._written(batch)

    async def follow(
        self, batches: AsyncIterable[Sequence[Recorded]], writer: Writer, around: Around = _nothing
    ) -> AsyncGenerator[Sequence[Recorded], None]:
        """Apply each batch, and give it back once it is written.

        The next ones are read and folded meanwhile: that is work for this process, and writing is
        work for the database. Raises what `apply` and `batches` raise, the latter when all that
        came before is written.
        """
        source, turn = aiter(batches), asyncio.Lock()
        # No more, so that what comes while the database is busy becomes one batch.
        ready_at_once = writer.at_once + 1
        room = asyncio.Semaphore(writer.at_once)

        async def write(batch: _Batch) -> None:
            async with room:
                with around(batch.events):
                    await writer.write(batch.transaction)

        async def prepared() -> tuple[_Batch, asyncio.Task[None]] | None:
            async with turn:
                events = await anext(source, None)
                if events is None:
                    return None
                batch = await self._prepare(events)
                return batch, asyncio.create_task(write(batch))

        ahead = deque(asyncio.create_task(prepared()) for _ in range(ready_at_once))
        try:
            while ready := await _ended(ahead[0]):
                batch, written = ready
                await _ended(written)
                self._written(batch)
                yield batch.events
                ahead.popleft()
                ahead.append(asyncio.create_task(prepared()))
        finally:
            await _stopped(ahead)

    async def _prepare(
        self, events: Sequence[Recorded], connection: AsyncConnection | None = None
    ) -> _Batch:
        """Fold events into rows, as if all that was prepared before were written."""
        wanted = dict.fromkeys(recorded.job for recorded in events)
        known = {job: self._states[job] for job in wanted if job in self._states}
        missing = [job for job in wanted if job not in known and not self._is_new(job)]
        # What is not written yet is not among these, for it is kept in memory until then.
        if missing and connection:
            known |= await jobs.states(connection, self._table, missing)
        elif missing:
            async with self._database.reading() as snapshot:
                known |= await jobs.states(snapshot, self._table, missing)
        made = changes(known, events)
        states = {state.job: state for _, state in latest(made)}
        rows = rows_of(self._projections, made)
        transaction = Transaction(
            self._keys,
            self._prepared,
            events[-1].sequence,
            [self._database.ready(table, several) for table, several in rows],
        )
        batch = _Batch(events, transaction, states)
        for job, state in states.items():
            self._states[job] = state
            self._states.move_to_end(job)
        if self._greatest is not None:
            self._greatest = max(self._greatest, *wanted)
        self._unwritten.append(batch)
        self._prepared = transaction.end
        return batch

    def _is_new(self, job: str) -> bool:
        return self._greatest is not None and job > self._greatest

    def _written(self, batch: _Batch) -> None:
        self.position = batch.transaction.end
        self._unwritten.popleft()
        for job, state in batch.states.items():
            # An ended job rarely moves again, and is in the database if it does.
            if state.status.ended and self._states.get(job) is state:
                del self._states[job]
        while len(self._states) > _KEPT_STATES:
            oldest = next(iter(self._states))
            if any(oldest in waiting.states for waiting in self._unwritten):
                break
            del self._states[oldest]


async def _ended(task: asyncio.Task[T]) -> T:
    """The result of a task, which is not cancelled with whoever waits for it here.

    Otherwise a task that ends all the same, as a write may that is done already, would hide from
    the waiting one that it was to stop, and a service would go on for ever.
    """
    await asyncio.wait((task,))
    return task.result()


async def _stopped(ahead: Iterable[asyncio.Task[tuple[_Batch, asyncio.Task[None]] | None]]) -> None:
    """End what prepares batches, and then what writes those that were ready."""
    for task in ahead:
        task.cancel()
    ended = await asyncio.gather(*ahead, return_exceptions=True)
    writes = [ready[1] for ready in ended if isinstance(ready, tuple)]
    for task in writes:
        task.cancel()
    await asyncio.gather(*writes, return_exceptions=True)


def rows_of(
    projections: Sequence[Projection], batch: Sequence[Change]
) -> list[tuple[Table, list[Row]]]:
    """The rows that a batch leaves behind, by table, each key once and in its last form."""
    tables: dict[str, tuple[Table, Key, dict[object, Row]]] = {}
    for projection in projections:
        for table, row in projection.rows(batch):
            known = tables.get(table.name)
            if known is None:
                known = tables[table.name] = (table, _key_of(table), {})
            _, key, rows = known
            rows[key(row)] = row
    return [(table, list(rows.values())) for table, _, rows in tables.values()]


def _key_of(table: Table) -> Key:
    """What tells the rows of a table apart."""
    return itemgetter(*(column.name for column in table.primary_key))
