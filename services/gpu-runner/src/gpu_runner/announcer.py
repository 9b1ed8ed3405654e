"""Tells all what a runner can do: steadily, and soon after it became busy or idle.

Whoever keeps the registry reads a whole manifest each time, and stages may take milliseconds, so
what changes within a second is told together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from eventlog.registry import ANNOUNCE_EVERY_S

_AT_MOST_EVERY_S = 1.0


class Announcer:
    """Calls `tell` for ever."""

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """What is told is no longer so."""
        self._changed.set()

    async def run(self) -> None:
        """Tell at once, after every change, and when nothing has changed for a while."""
        while True:
            self._changed.clear()
            await self._tell()
            await asyncio.sleep(_AT_MOST_EVERY_S)
            try:
                async with asyncio.timeout(ANNOUNCE_EVERY_S - _AT_MOST_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
