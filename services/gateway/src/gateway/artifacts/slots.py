"""Places that requests share, so that nobody can have all of them.

What holds a place may last, as long as a client takes to read; so each owner has few.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.problems import Problem, ProblemKind


class Slots:
    """At most `most` places, and `most_each` of them for one owner."""

    def __init__(self, most: int, most_each: int, patience_s: float = 5.0) -> None:
        self._most = most
        self._most_each = most_each
        self._patience_s = patience_s
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def one(self, owner: str) -> AsyncIterator[None]:
        """A place; Problem (503) if none becomes free within a moment."""
        if not self._free(owner):
            await self._wait(owner)
        self._taken[owner] += 1
        try:
            yield
        finally:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
            await asyncio.shield(self._tell())

    def _free(self, owner: str) -> bool:
        return self._taken[owner] < self._most_each and self._taken.total() < self._most

    async def _wait(self, owner: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s), self._freed:
                await self._freed.wait_for(lambda: self._free(owner))
                return
        raise Problem(
            ProblemKind.BUSY,
            "So much is being sent already that this has to wait.",
            "Try again in a few seconds, and do less at once.",
            {"Retry-After": "5"},
        )

    async def _tell(self) -> None:
        async with self._freed:
            self._freed.notify_all()
