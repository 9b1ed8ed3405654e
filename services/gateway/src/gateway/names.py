"""What owners call their jobs and profiles.

Names are personal data, so they are not in the log but objects in the store; they are
small and never change, and a few are kept at hand.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

import structlog
from eventlog.errors import EventLogError
from servicekit.objects import MissingObjectError, ObjectStore, ObjectStoreError

from gateway.live import LiveJob, LiveJobs

log = structlog.get_logger(__name__)

_CAPACITY = 2048


class Names:
    """Names by job."""

    def __init__(self, live: LiveJobs, store: ObjectStore) -> None:
        self._live = live
        self._store = store
        self._kept: OrderedDict[str, str | None] = OrderedDict()

    async def of(self, live: LiveJob) -> str | None:
        """The name of a job, or None if it has none, or none that can be read now."""
        if live.job in self._kept:
            self._kept.move_to_end(live.job)
            return self._kept[live.job]
        artifacts = live.state.request.inputs.get("name", ()) if live.state.request else ()
        name = None
        if artifacts:
            try:
                name = (await self._store.get(artifacts[0])).decode()
            except MissingObjectError:
                name = None  # Erased at somebody's wish.
            except ObjectStoreError as error:
                log.warning("name.unreadable", job=live.job, detail=str(error))
                return None
        self._kept[live.job] = name
        if len(self._kept) > _CAPACITY:
            self._kept.popitem(last=False)
        return name

    async def of_jobs(self, jobs: Iterable[str], owner: str) -> dict[str, str | None]:
        """The names of several jobs of an owner's; a list without them is better than none."""
        wanted = tuple(jobs)
        names = await asyncio.gather(*(self._of_id(job, owner) for job in wanted))
        return dict(zip(wanted, names, strict=True))

    async def _of_id(self, job: str, owner: str) -> str | None:
        if job in self._kept:
            return self._kept[job]
        try:
            return await self.of(await self._live.find(job, owner))
        except EventLogError as error:
            log.warning("name.unreadable", job=job, detail=str(error))
            return None
