"""Whose things are asked about: one's own, or for an administrator everybody's."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from gateway.access.door import require
from gateway.access.principal import Principal, Scope

Everyone = Annotated[
    bool, Query(description="of all owners, which takes the scope `admin`; else only one's own")
]


def check(principal: Principal, *, everyone: bool) -> None:
    """Problem (403) if somebody who is no administrator asks for everybody's."""
    if everyone:
        require(principal, Scope.ADMIN)
