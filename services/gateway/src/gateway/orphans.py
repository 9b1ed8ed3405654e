"""Erases objects that no event of the log names: of requests, and of attempts, that broke off.

A service that dies between storing an object and telling the log of it leaves the object behind,
and so does a refused request whose undoing failed as the store was away. Nothing refers to such an
object, but also nothing tells it from one whose event is still to come, so only those that have
lain there for two days are looked at. The log decides, and not the views. Any gateway may collect,
and several may at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog
from contracts.holdings import objects_of
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import EventLog, utc_now
from eventlog.reader import read_stored_log
from servicekit.objects import ObjectStore, ObjectStoreError

from gateway.uploads.sweeper import Lying, erase, lying_there

log = structlog.get_logger(__name__)

FOLDERS = ("uploads/", "jobs/")
"""Where everything lies that events name."""

_SPARED = timedelta(days=2)
_FIRST_AFTER_S = 600.0
_EVERY_S = 86_400.0
_AT_ONCE = 50_000
"""Objects that are held against the log in one reading of it: about 15 MB of memory."""
_WINDOW = 200
"""Events that are read at once, so that nobody's request waits for long."""


async def collect_for_ever(broker: Broker, event_log: EventLog, store: ObjectStore) -> None:
    """Collect soon after the start, when those who wait for it are served, and once a day."""
    await asyncio.sleep(_FIRST_AFTER_S)
    while True:
        try:
            await collect(broker, event_log, store, utc_now() - _SPARED)
        except (EventLogError, ObjectStoreError, UnknownEventError) as error:
            log.warning("orphans.not_collected", detail=str(error))
        await asyncio.sleep(_EVERY_S)


async def collect(broker: Broker, event_log: EventLog, store: ObjectStore, before: datetime) -> int:
    """Erase what was stored before a time and is named by no event; how many objects.

    Raises ObjectStoreError; EventLogError, and UnknownEventError for an event that may name what
    this version cannot see, and then nothing more is erased.
    """
    collected = 0
    for folder in FOLDERS:
        async for candidates in _old(store, folder, before):
            for lying in await _unnamed(broker, event_log, candidates):
                await erase(store, lying)
                collected += 1
    if collected:
        log.info("orphans.collected", count=collected)
    return collected


async def _old(store: ObjectStore, folder: str, before: datetime) -> AsyncIterator[list[Lying]]:
    found: list[Lying] = []
    async for lying in lying_there(store, folder):
        if lying.time < before:
            found.append(lying)
        if len(found) == _AT_ONCE:
            yield found
            found = []
    if found:
        yield found


async def _unnamed(broker: Broker, event_log: EventLog, candidates: list[Lying]) -> list[Lying]:
    # Whatever names one of them stands in the log by now, as they are as old as that.
    end = (await event_log.position()).last_sequence
    # What is in parts only is no object yet, whatever its key.
    unnamed = {lying.key for lying in candidates if lying.multipart is None}
    if unnamed and end:
        async with aclosing(read_stored_log(broker, 0, _WINDOW)) as batches:
            async for batch in batches:
                for stored in batch:
                    unnamed -= {artifact.key for artifact, _ in objects_of(stored.recorded().event)}
                if batch[-1].sequence >= end:
                    break
    return [lying for lying in candidates if lying.multipart or lying.key in unnamed]
