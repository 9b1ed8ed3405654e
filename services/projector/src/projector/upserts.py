"""How whole rows are written over those with the same primary key, in the driver's own terms.

SQLAlchemy composes each statement, once. For every row it would go through all columns again, and
that took longer than the database needs to write it (docs/adr/0016-rebuild-speed.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Dialect

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


class Upsert:
    """How whole rows of one table are written. `sql` takes what `parameters` makes of a row."""

    def __init__(self, new: SqliteInsert | PostgresqlInsert, dialect: Dialect) -> None:
        """`new` is the dialect's insert into the table."""
        table = new.table
        names = [column.name for column in table.columns]
        keys = [column.name for column in table.primary_key]
        changes = {name: new.excluded[name] for name in names if name not in keys}
        if changes:
            statement = new.on_conflict_do_update(index_elements=keys, set_=changes)
        else:
            statement = new.on_conflict_do_nothing(index_elements=keys)
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self.sql = str(compiled)
        order = compiled.positiontup or names
        # Of one name alone it would give the bare value.
        self._pick = itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
        ordered = [table.columns[name] for name in order]
        self._processors = [
            (index, processor)
            for index, column in enumerate(ordered)
            if (processor := column.type.dialect_impl(dialect).bind_processor(dialect))
        ]

    def parameters(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """The rows' values as the driver takes them, in the order of the statement."""
        # Column by column, which is a third faster than row by row.
        columns: list[Iterable[Any]] = list(zip(*map(self._pick, rows), strict=True))
        for index, processor in self._processors:
            columns[index] = map(processor, columns[index])
        return list(zip(*columns, strict=True))
