"""Reads from the log the events that somebody has selected, as they were written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from contracts.envelope import Stored
from contracts.events import JobRequested
from contracts.exchange import Selection
from contracts.upcasting import UnknownEventError

from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.span import read_span

_PAGE = 1000
Told = Callable[[int, int], None]
"""Hears how much is done, of how much."""


async def select(
    broker: Broker, selection: Selection, end: int, told: Told = lambda _done, _total: None
) -> AsyncIterator[list[Stored]]:
    """The selected events up to the sequence `end`, in lists.

    In the order of the log, or one job after the other where jobs are selected by name. Raises
    GapError if the log has a gap.
    """
    log = EventLog(broker, "cli")
    owners = _Owners(log, selection.owner)
    async for batch in _candidates(broker, log, selection, end, told):
        chosen = [
            stored for stored in batch if selection.wants(stored) and await owners.own(stored)
        ]
        if chosen:
            yield chosen


async def _candidates(
    broker: Broker, log: EventLog, selection: Selection, end: int, told: Told
) -> AsyncIterator[list[Stored]]:
    last = min(end, selection.until) if selection.until is not None else end
    if selection.jobs:
        for number, job in enumerate(selection.jobs):
            told(number, len(selection.jobs))
            page: list[Stored] = []
            async for stored in log.read_stored(job, selection.after or 0):
                if stored.sequence > last:
                    break
                page.append(stored)
                if len(page) == _PAGE:
                    yield page
                    page = []
            yield page
        return
    first = selection.after or 0
    async for batch in read_span(broker, first, last):
        yield batch
        told(batch[-1].sequence - first, last - first)


class _Owners:
    """Whose jobs are; each is looked up once, in its first event."""

    def __init__(self, log: EventLog, owner: str | None) -> None:
        self._log = log
        self._owner = owner
        self._own: dict[str, bool] = {}

    async def own(self, stored: Stored) -> bool:
        """Whether the event is of a job of the owner, if one was selected."""
        if self._owner is None:
            return True
        known = self._own.get(stored.job)
        if known is None:
            known = self._own[stored.job] = await self._look(stored)
        return known

    async def _look(self, stored: Stored) -> bool:
        async for first in self._log.read_stored(stored.job):
            try:
                event = first.recorded().event
            except UnknownEventError:
                return False
            return isinstance(event, JobRequested) and event.owner == self._owner
        return False
