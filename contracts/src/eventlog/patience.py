"""Trying again while the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from eventlog.errors import UnavailableError

T = TypeVar("T")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


async def insist(attempt: Callable[[], Awaitable[T]], patience_s: float | None = None) -> T:
    """Call `attempt` until the broker answers, pausing ever longer between tries.

    Raises the last UnavailableError when `patience_s` seconds are over; None waits for ever.
    """
    loop = asyncio.get_running_loop()
    deadline = None if patience_s is None else loop.time() + patience_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except UnavailableError:
            if deadline is not None and loop.time() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
