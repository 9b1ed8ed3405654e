"""Two tables compared row by row, both read in the order of their keys, a few rows at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, String, Table, collate, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projector.database import Row

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not as the log tells, or a whole row if `column` is None.

    Then `live` or `rebuilt` is None, where there is no such row, and the other one is the row.
    """

    projection: str
    table: str
    key: Row
    column: str | None
    live: Any
    rebuilt: Any


Differ = Callable[[Difference], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases, as one snapshot of it."""

    connection: AsyncConnection

    async def rows(self, table: Table) -> AsyncIterator[Row]:
        """All rows, in an order that both kinds of database share."""
        ordered = select(table).order_by(*(self._ordered(column) for column in table.primary_key))
        options = {"yield_per": _AT_ONCE}
        result = await self.connection.stream(ordered, execution_options=options)
        async for row in result.mappings():
            yield dict(row)

    def _ordered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        # The order of text depends on PostgreSQL's locale, unless one asks for that of its bytes.
        postgresql = self.connection.dialect.name == "postgresql"
        return collate(column, "C") if postgresql and isinstance(column.type, String) else column


async def compare(projection: str, table: Table, live: Side, rebuilt: Side, differ: Differ) -> int:
    """Tell `differ` of all differences; returns how many rows the log tells of."""
    keys = [column.name for column in table.primary_key]
    values = [column.name for column in table.columns if column.name not in keys]
    rows = 0
    ours, theirs = live.rows(table), rebuilt.rows(table)
    one, other = await anext(ours, None), await anext(theirs, None)
    while one is not None or other is not None:
        mine = tuple(one[key] for key in keys) if one is not None else None
        told = tuple(other[key] for key in keys) if other is not None else None
        rows += told is not None and (mine is None or told <= mine)
        if one is not None and (told is None or (mine is not None and mine < told)):
            key = {name: one[name] for name in keys}
            differ(Difference(projection, table.name, key, None, one, None))
            one = await anext(ours, None)
        elif other is not None and (mine is None or (told is not None and told < mine)):
            key = {name: other[name] for name in keys}
            differ(Difference(projection, table.name, key, None, None, other))
            other = await anext(theirs, None)
        elif one is not None and other is not None:
            for name in values:
                if one[name] != other[name]:
                    key = {each: one[each] for each in keys}
                    differ(Difference(projection, table.name, key, name, one[name], other[name]))
            one, other = await anext(ours, None), await anext(theirs, None)
    return rows
