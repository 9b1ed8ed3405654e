"""What happens in a simulated world, line by line, for whoever replays a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from tests.simulation.loop import HOLDER


class Trace:
    """Takes who did something and what; prints it, and keeps a hash of all of it."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._hash = hashlib.sha256()
        self.clock: Callable[[], float] = float

    def __call__(self, who: str, what: str) -> None:
        line = f"{self.clock():10.3f}  {who:<12} {what}"
        self._hash.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        """The same for two runs in which the same was told."""
        return self._hash.hexdigest()

    def hear_services(self) -> None:
        """Tell of what the services log, too."""
        structlog.configure(processors=[self._heard])

    def _heard(self, _: Any, method: str, line: MutableMapping[str, Any]) -> str:
        life = HOLDER.get()
        details = " ".join(f"{key}={value}" for key, value in line.items() if key != "event")
        self(getattr(life, "name", "world"), f"{method} {line['event']} {details}"[:160])
        raise structlog.DropEvent


no_trace = Trace(None)


def hush() -> None:
    """Have the services log nothing."""
    structlog.configure(processors=[_drop])


def _drop(_: Any, __: str, ___: MutableMapping[str, Any]) -> str:
    raise structlog.DropEvent
