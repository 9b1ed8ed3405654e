"""Beats while nothing is said to a client, and ends a connection that takes nothing.

One timer for each client that fires every few seconds costs less than a time-out around
every message, of which there are thousands a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

HEARTBEAT_S = 15.0
STALLED_S = 30.0


class Pulse:
    """A context around serving one client. `beat` sends a heartbeat, `end` aborts."""

    def __init__(
        self,
        beat: Callable[[], None],
        end: Callable[[], None],
        heartbeat_s: float = HEARTBEAT_S,
        stalled_s: float = STALLED_S,
    ) -> None:
        self._beat = beat
        self._end = end
        self._heartbeat_s = heartbeat_s
        self._stalled_s = stalled_s
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._timer = self._loop.call_later(self._heartbeat_s, self._look)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def sending(self) -> None:
        """Something is about to be sent."""
        self._sending = True
        self._last = self._loop.time()

    def sent(self) -> None:
        """The connection took it."""
        self._sending = False

    def _look(self) -> None:
        quiet_s = self._loop.time() - self._last
        if self._sending and quiet_s >= self._stalled_s:
            self._timer = None
            self._end()
            return
        if not self._sending and quiet_s >= self._heartbeat_s:
            self._beat()
            quiet_s = 0.0
        due = self._stalled_s if self._sending else self._heartbeat_s
        self._timer = self._loop.call_later(max(due - quiet_s, 0.0), self._look)
