"""The planner's way along the log: from a snapshot or from the beginning, and on as it grows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from contracts.envelope import Recorded
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.reader import read_log, read_stored_log

from planner.reconciler import Reconciler
from planner.snapshots import Snapshots

log = structlog.get_logger(__name__)


class UnreadableEventError(Exception):
    """The log holds an event that this version does not understand: it must not go past it."""

    def __init__(self, position: int, cause: UnknownEventError) -> None:
        super().__init__(
            f"nothing is decided after event {position - 1}, as event {position} cannot be "
            f"understood: {cause}; install the version that wrote it, which goes on from there, or "
            "restore a backup from before it"
        )
        self.position = position


async def follow(
    broker: Broker,
    reconciler: Reconciler,
    snapshots: Snapshots,
    end: int,
    caught_up: Callable[[], Awaitable[None]],
) -> None:
    """Read the log from what the reconciler remembers of it, for ever.

    `caught_up` is called once, when the log has been read up to `end`. Raises GapError, and
    UnreadableEventError when nothing may be decided any more.
    """
    live = reconciler.memory.position >= end
    if live:
        await caught_up()
    last: Recorded | None = None
    try:
        async for batch in read_log(broker, reconciler.memory.position):
            await reconciler.read(batch)
            last = batch[-1]
            if not live and last.sequence >= end:
                live = True
                await caught_up()
            await snapshots.keep_when_due(reconciler.memory, last)
    except UnknownEventError as error:
        raise await _unreadable(broker, reconciler.memory.position, error) from error
    finally:
        snapshots.keep_now(reconciler.memory, last)


async def _unreadable(broker: Broker, after: int, error: UnknownEventError) -> UnreadableEventError:
    """Which event it is: its number is not with the error."""
    async for batch in read_stored_log(broker, after):
        for stored in batch:
            try:
                stored.recorded()
            except UnknownEventError as cause:
                return UnreadableEventError(stored.sequence, cause)
    return UnreadableEventError(after + 1, error)
