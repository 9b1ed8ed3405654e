"""Events that a newer program has written, for as long as they wait for one that knows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from contracts.upcasting import UnknownEventError
from servicekit.admin import Readiness

log = structlog.get_logger(__name__)

AGAIN_S = 30.0
"""After how long such an event is offered again, to whichever gateway asks first."""
_FORGOTTEN_S = 10 * AGAIN_S


@dataclass(slots=True)
class Unread:
    """What this gateway could not read, told once in the log and on `/ready` for as long as it is.

    An event that comes no more was read by another gateway, a newer one.
    """

    readiness: Readiness
    clock: Callable[[], float] = time.monotonic
    _met: dict[int, float] = field(default_factory=dict)
    _told: dict[int, str] = field(default_factory=dict)

    def met(self, sequence: int, error: UnknownEventError) -> None:
        """An event has come that cannot be read."""
        if sequence not in self._met:
            said = (
                f"nothing follows from event {sequence}, which cannot be understood: {error}; "
                "install the version that wrote it, or restore a backup from before it"
            )
            log.error("gateway.event_unread", sequence=sequence, detail=str(error))
            self._told[sequence] = f"operator: {said}"
            self.readiness.lost(self._told[sequence])
        self._met[sequence] = self.clock()

    def forget(self) -> None:
        """Wait no more for what has not come again for long."""
        oldest = self.clock() - _FORGOTTEN_S
        for sequence in [each for each, seen in self._met.items() if seen < oldest]:
            del self._met[sequence]
            self.readiness.reached(self._told.pop(sequence))
            log.info("gateway.event_read_elsewhere", sequence=sequence)
