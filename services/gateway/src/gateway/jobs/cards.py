"""What lists show of jobs beside their summaries, made once for each state of a job."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import structlog
from contracts.queries import JobSummary
from eventlog.errors import EventLogError

from gateway.jobs.names import Names
from gateway.jobs.views import Card, card_of
from gateway.live import LiveJobs

log = structlog.get_logger(__name__)

_CAPACITY = 4096


class Cards:
    """Cards by job."""

    def __init__(self, live: LiveJobs, names: Names) -> None:
        self._live = live
        self._names = names
        self._kept: OrderedDict[str, Card] = OrderedDict()

    async def of(self, summaries: Sequence[JobSummary], owner: str) -> list[Card | None]:
        """The card of each job of an owner's; None where it cannot be read now."""
        return await asyncio.gather(*(self._of(summary, owner) for summary in summaries))

    async def _of(self, summary: JobSummary, owner: str) -> Card | None:
        kept = self._kept.get(summary.job)
        if kept is not None and kept.sequence >= summary.sequence:
            self._kept.move_to_end(summary.job)
            return kept
        try:
            live = await self._live.find(summary.job, owner)
        except EventLogError as error:
            log.warning("card.unreadable", job=summary.job, detail=str(error))
            return None
        card = card_of(live, await self._names.of(live))
        if not self._names.knows(summary.job):
            # The store is away for now.
            return card
        self._kept[summary.job] = card
        if len(self._kept) > _CAPACITY:
            self._kept.popitem(last=False)
        return card
