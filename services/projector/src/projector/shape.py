"""Whether the tables that a database has are the ones that this program writes.

A version of a projection has its columns for good, so tables that differ under the same name are
another program's: a newer one's that does not keep to that rule, or somebody's by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Table, inspect

from projector.errors import OtherTablesError


def check_shape(connection: Connection, tables: Sequence[Table]) -> None:
    """OtherTablesError unless each table that is there can take our rows."""
    names = [table.name for table in tables]
    columns = inspect(connection).get_multi_columns(filter_names=names)
    found = {name: each for (_, name), each in columns.items()}
    for table in tables:
        if table.name in found:
            _check(table.name, {column.name for column in table.columns}, found[table.name])


def _check(table: str, ours: Collection[str], found: Sequence[Any]) -> None:
    missing = sorted(set(ours) - {column["name"] for column in found})
    if missing:
        raise OtherTablesError(table, f"lacks the column {missing[0]}")
    # A column that nobody has to fill is in nobody's way.
    wanted = [c["name"] for c in found if not c["nullable"] and c.get("default") is None]
    if strange := sorted(set(wanted) - set(ours)):
        raise OtherTablesError(table, f"wants a column {strange[0]} filled, which is unknown here")
