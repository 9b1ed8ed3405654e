"""Erases the objects of deleted jobs that nothing else of the owner's needs."""

from __future__ import annotations

import structlog
from contracts.envelope import Recorded
from contracts.events import JobDeleted
from contracts.queries import ListErasable, ObjectKeys
from eventlog.broker import Broker
from eventlog.rpc import NotFoundError, ask
from servicekit.objects import ObjectStore

from gateway.chores import Chore

log = structlog.get_logger(__name__)


def erasing(broker: Broker, store: ObjectStore) -> Chore:
    """The chore that follows from JobDeleted. Erasing again what is gone is no error."""

    async def erase(recorded: Recorded) -> None:
        if not isinstance(recorded.event, JobDeleted):
            return
        query = ListErasable(
            owner=recorded.event.by, job=recorded.job, min_position=recorded.sequence
        )
        try:
            erasable, _ = await ask(broker, query, ObjectKeys)
        except NotFoundError:
            # Told of a job that was not there or had not ended: it deleted nothing.
            return
        for key in erasable.keys:
            await store.delete(key)
        log.info("job.erased", job=recorded.job, objects=len(erasable.keys))

    return erase
