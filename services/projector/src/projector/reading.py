"""Reads the log in pieces of one transaction, and says in this package's words what stops it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from contracts.envelope import Recorded
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.errors import GapError
from eventlog.reader import read_log

from projector.errors import IncompleteLogError, UnreadableEventError
from projector.track import BATCH


async def read(broker: Broker, after: int) -> AsyncGenerator[list[Recorded], None]:
    """The events after a sequence, without end, at most one transaction's worth at once.

    Raises UnreadableEventError after the last event before the one that cannot be used,
    and IncompleteLogError where events are missing.
    """
    window = BATCH
    while True:
        try:
            async for events in read_log(broker, after, window):
                for first in range(0, len(events), BATCH):
                    part = events[first : first + BATCH]
                    yield part
                    after = part[-1].sequence
        except GapError as error:
            raise IncompleteLogError(after, error) from error
        except UnknownEventError as error:
            if window == 1:
                raise UnreadableEventError(after, error) from error
            # One at a time, so that all that come before it are used.
            window = 1
