"""Erases the objects of deleted jobs that nothing else of the owner's needs."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from contracts.envelope import Recorded
from contracts.events import JobDeleted
from contracts.queries import ListErasable, ObjectKeys
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import utc_now
from eventlog.rpc import NotFoundError, ask
from servicekit.objects import ObjectStore

from gateway.chores import Chore

log = structlog.get_logger(__name__)

_SETTLES_IN = timedelta(seconds=2)
"""In that time whoever had not heard of the deletion has told the log what he decided before."""


class UnsettledError(EventLogError):
    """The wish is so fresh that others may still be acting on what was before it."""

    def __init__(self, deleted_at: datetime) -> None:
        super().__init__(f"wished only at {deleted_at.isoformat()}: first let others hear of it")


def let_settle(recorded: Recorded) -> None:
    """Raise UnsettledError for as long as a wish to delete is fresh."""
    if utc_now() - recorded.time < _SETTLES_IN:
        raise UnsettledError(recorded.time)


def erasing(broker: Broker, store: ObjectStore) -> Chore:
    """The chore that follows from JobDeleted. Erasing again what is gone is no error."""

    async def erase(recorded: Recorded) -> None:
        if not isinstance(recorded.event, JobDeleted):
            return
        let_settle(recorded)
        query = ListErasable(
            owner=recorded.event.by, job=recorded.job, min_position=recorded.sequence
        )
        try:
            left, _ = await ask(broker, query, ObjectKeys)
        except NotFoundError:
            # Told of a job that was not there or had not ended: it deleted nothing.
            return
        for key in left.keys:
            await store.delete(key)
        # An attempt that broke off has told nobody what it had stored by then.
        kept = set(left.kept)
        untold = [key async for key in store.keys(f"jobs/{recorded.job}/") if key not in kept]
        for key in untold:
            await store.delete(key)
        log.info("job.erased", job=recorded.job, objects=len(left.keys) + len(untold))

    return erase
