"""Ends what a credential has open once the credential is gone: sockets and event streams.

A short answer is finished whatever happens meanwhile; what has no end by itself is not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.access.principal import Principal


@dataclass(eq=False, slots=True)
class Life:
    """One connection. `timeout` is around its work, and has no end at first."""

    timeout: asyncio.Timeout
    left_s: float | None
    """Seconds until the credential expires."""
    endless: bool = False
    over: bool = False

    def without_end(self) -> None:
        """From now on the connection lasts only as long as its credential."""
        self.endless = True
        if self.over:
            self.end()
        elif self.left_s is not None:
            self.timeout.reschedule(asyncio.get_running_loop().time() + self.left_s)

    def end(self) -> None:
        """The credential is gone."""
        self.over = True
        if self.endless:
            self.timeout.reschedule(asyncio.get_running_loop().time())


class Lives:
    """What is open, by the credential that opened it."""

    def __init__(self) -> None:
        self._open: defaultdict[str, set[Life]] = defaultdict(set)

    @contextlib.contextmanager
    def one(self, principal: Principal, timeout: asyncio.Timeout, now: datetime) -> Iterator[Life]:
        """A connection, known for as long as it is served."""
        expires = principal.expires_at
        life = Life(timeout, (expires - now).total_seconds() if expires else None)
        held = self._open[principal.credential]
        held.add(life)
        try:
            yield life
        finally:
            held.discard(life)
            if not held:
                self._open.pop(principal.credential, None)

    def end(self, credential: str) -> None:
        """The credential is not good any more."""
        for life in tuple(self._open.get(credential, ())):
            life.end()
