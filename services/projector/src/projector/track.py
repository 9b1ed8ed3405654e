"""Carries projections along the log: fold a batch, write its rows and the position, together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import itemgetter

from contracts.envelope import Recorded
from contracts.job import JobState
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from projector import positions
from projector.database import Database, Row
from projector.fold import Change, changes, latest
from projector.projection import Projection
from projector.projections import jobs

Key = Callable[[Row], object]

BATCH = 1000
"""Events per transaction."""
_KEPT_STATES = 256


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
        self._table = states.tables[0]
        self._states: OrderedDict[str, JobState] = OrderedDict()
        self.position = position

    async def apply(self, events: Sequence[Recorded]) -> None:
        """Write what the events change: all of it and the position, or nothing.

        Takes the events that follow the position, at most `BATCH` of them. Raises
        PositionMovedError if another projector has written them, DatabaseUnavailableError.
        """
        known, missing = self._remembered(events)
        if missing:
            async with self._database.reading() as connection:
                known |= await jobs.states(connection, self._table, missing)
        batch = changes(known, events)
        written = rows_of(self._projections, batch)
        async with self._database.writing() as connection:
            await self._write(connection, written, events[-1].sequence)
        self._moved(batch, events[-1].sequence)

    async def apply_in(self, connection: AsyncConnection, events: Sequence[Recorded]) -> None:
        """The same within a transaction of the caller's, on which it depends whether it counts."""
        known, missing = self._remembered(events)
        known |= await jobs.states(connection, self._table, missing)
        batch = changes(known, events)
        written = rows_of(self._projections, batch)
        await self._write(connection, written, events[-1].sequence)
        self._moved(batch, events[-1].sequence)

    async def _write(
        self, connection: AsyncConnection, written: Sequence[tuple[Table, list[Row]]], end: int
    ) -> None:
        await positions.advance(connection, self._projections, self.position, end)
        for table, rows in written:
            await self._database.upsert(connection, table, rows)

    def _moved(self, batch: Sequence[Change], end: int) -> None:
        self.position = end
        self._keep(batch)

    def _remembered(self, events: Sequence[Recorded]) -> tuple[dict[str, JobState], list[str]]:
        """The states that are in memory, and the jobs whose states are not."""
        wanted = dict.fromkeys(recorded.job for recorded in events)
        known = {job: self._states[job] for job in wanted if job in self._states}
        return known, [job for job in wanted if job not in known]

    def _keep(self, batch: Sequence[Change]) -> None:
        for _, state in latest(batch):
            self._states.pop(state.job, None)
            # An ended job rarely moves again, and is in the database if it does.
            if not state.status.ended:
                self._states[state.job] = state
        while len(self._states) > _KEPT_STATES:
            self._states.popitem(last=False)


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
