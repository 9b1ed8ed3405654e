"""What a projection is: a name, a version, tables, and a function from changes to rows.

The function is pure. It says which rows are now so; the track writes them together with the
position. A new version has new tables, so it is filled while the old one still answers.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.base import Contract
from contracts.queries import Query
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from projector.database import Row
from projector.fold import Change

METADATA = MetaData()
"""The tables of all projections, and that of their positions."""

ANEW = "_rebuild"
"""What the name of a projection has added while it is made anew; none ends in it of its own."""

Reply = Callable[[AsyncConnection, Any], Awaitable[Contract | Mapping[str, Any] | None]]
"""Answers one kind of query from one snapshot; None if there is no such thing for its owner."""


class View(SQLModel):
    """The base of all tables."""

    metadata = METADATA


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model. `rows` gives (table, row) for a batch; of equal keys the last counts."""

    name: str
    version: int
    tables: tuple[Table, ...]
    rows: Callable[[Sequence[Change]], Iterable[tuple[Table, Row]]]
    replies: Mapping[type[Query], Reply] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        """What its position is kept under."""
        return self.name, self.version

    def owns(self, table: str) -> bool:
        """Whether a table of this name can only be one of this name and version."""
        return re.fullmatch(rf"{self.name}(_.+)?_v{self.version}", table) is not None


def table_of(model: type[SQLModel]) -> Table:
    """The table behind a model."""
    table = getattr(model, "__table__", None)
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not declared with table=True")
    return table
