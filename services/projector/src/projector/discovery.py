"""Finds the projections: one for each module of a package, and those that others have installed.

A module that defines `PROJECTION` is one; adding the file is all there is to do. What would make
the views wrong or unreachable is refused at the start, before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from contracts.queries import QUERIES

from projector.errors import InvalidProjectionError
from projector.projection import ANEW, Projection

GROUP = "myspinbot.projections"
"""The entry points under which other distributions offer projections, or modules of them."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def discover(package: str, path: Iterable[str]) -> tuple[Projection, ...]:
    """Every projection of a package and of installed entry points, in the order of their names.

    Raises InvalidProjectionError if one does not keep to the rules, or two are in each other's way.
    """
    found = [*_of_package(package, path), *_installed()]
    found.sort(key=lambda one: one.name)
    check(found)
    return tuple(found)


def _of_package(package: str, path: Iterable[str]) -> Iterator[Projection]:
    for module in iter_modules(path):
        offered = import_module(f"{package}.{module.name}")
        if hasattr(offered, "PROJECTION"):
            yield _projection(offered.PROJECTION, f"{package}.{module.name}")


def _installed() -> Iterator[Projection]:
    for point in entry_points(group=GROUP):
        offered = point.load()
        yield _projection(getattr(offered, "PROJECTION", offered), point.value)


def _projection(offered: object, where: str) -> Projection:
    if not isinstance(offered, Projection):
        raise InvalidProjectionError(where, "its PROJECTION is no projector.projection.Projection")
    return offered


def check(projections: Sequence[Projection]) -> None:
    """InvalidProjectionError unless these can be kept side by side."""
    names: set[str] = set()
    answered: dict[str, str] = {}
    for one in projections:
        if not _NAME.fullmatch(one.name):
            raise InvalidProjectionError(one.name, f"its name must match {_NAME.pattern}")
        if ANEW in one.name:
            raise InvalidProjectionError(one.name, f"a name with {ANEW} in it is for rebuilds")
        if one.name in names:
            raise InvalidProjectionError(one.name, "another one has the same name")
        names.add(one.name)
        for table in one.tables:
            if not one.owns(table.name):
                raise InvalidProjectionError(
                    one.name,
                    f"its table {table.name} must be called {one.name}_v{one.version}, or "
                    f"{one.name}_<something>_v{one.version}: a new version has tables of its own",
                )
        for query in one.replies:
            subject = query.subject
            if subject not in QUERIES:
                raise InvalidProjectionError(
                    one.name, f"nobody can ask {subject}: add it to contracts.queries.QUERIES"
                )
            if subject in answered:
                raise InvalidProjectionError(
                    one.name, f"{subject} is answered by {answered[subject]} already"
                )
            answered[subject] = one.name
