"""Reads the log in pieces of one transaction, and says in this package's words what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from contracts.envelope import Recorded
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.errors import GapError
from eventlog.reader import read_log

from projector.errors import BrokerSilentError, IncompleteLogError, UnreadableEventError
from projector.track import BATCH

Batches = AsyncGenerator[list[Recorded], None]
"""Events in order, in lists of at most one transaction's worth."""

_PATIENCE_S = 20.0
"""How long the broker may be silent for those who cannot wait for it."""


async def read(broker: Broker, after: int) -> Batches:
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
            raise IncompleteLogError(after, error.expected, error.found) from error
        except UnknownEventError as error:
            if window == 1:
                raise UnreadableEventError(after, error) from error
            # One at a time, so that all that come before it are used.
            window = 1


async def up_to(batches: Batches, end: int) -> Batches:
    """Those of the events that are not beyond a sequence that is among them."""
    async for events in batches:
        yield [event for event in events if event.sequence <= end]
        if events[-1].sequence >= end:
            return


async def read_to(broker: Broker, after: int, end: int) -> Batches:
    """The events after a sequence up to another one that the log is known to have reached.

    Raises BrokerSilentError where `read` would wait for the broker, and what `read` raises.
    """
    if after >= end:
        return
    async with aclosing(read(broker, after)) as batches:
        while after < end:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    events = await anext(batches)
            except TimeoutError as error:
                raise BrokerSilentError(f"no event came for {_PATIENCE_S:.0f} s") from error
            yield [event for event in events if event.sequence <= end]
            after = events[-1].sequence
