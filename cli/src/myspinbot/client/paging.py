"""Pages after pages, for replies that say where the next one begins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, TypeVar


class Page(Protocol):
    """A part of a list; `next` is None at the end."""

    @property
    def next(self) -> Any:
        """What to ask for, to get the page after this one."""


Each = TypeVar("Each", bound=Page)


async def pages(fetch: Callable[[Any], Awaitable[Each]]) -> AsyncGenerator[Each]:
    """Every page, beginning with `fetch(None)`."""
    cursor: Any = None
    while True:
        page = await fetch(cursor)
        yield page
        cursor = page.next
        if cursor is None:
            return
