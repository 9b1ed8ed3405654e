"""Live updates as server-sent events: `/api/jobs/{job}/events`.

The id of an event is its place in the log, so whoever comes back with the last id that they
heard goes on exactly there: nothing is missed, and nothing comes twice
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Annotated

import structlog
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from gateway.context import Owner, TheGateway
from gateway.jobs.routes import find
from gateway.live.client import render
from gateway.live.event_stream import HEARTBEAT, RETRY, EventStream, block, told_block
from gateway.live.feed import CLIENT_BYTES, Budget, Feed, Lines
from gateway.live.job import LiveJob
from gateway.live.table import LiveJobs
from gateway.live.told import Told

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/api", tags=["jobs"])

_RETRY_S = 0.5
_SEQUENCE = Query(ge=0, lt=2**63, description="the sequence to go on after")


@router.get(
    "/jobs/{job}/events",
    response_class=Response,
    responses={
        200: {
            "description": "`log`: an event of the log; `update`: how the job stands; `line`: "
            "what a stage wrote; `end`: the job has ended",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 1804\nevent: log\ndata: {"sequence":1804,"type":"StageStarted",'
                    '"stage":"train_lora","attempt":1}\n\n',
                }
            },
        },
        204: {"description": "The job has ended, and there is nothing after this event"},
    },
)
async def get_events(
    job: str,
    gateway: TheGateway,
    owner: Owner,
    after: Annotated[int, _SEQUENCE] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, lt=2**63, description="what an EventSource sends; before `after`")
    ] = None,
) -> Response:
    """Every event of a job from the log, and then what happens, as server-sent events."""
    live = await find(gateway, job, owner)
    heard = after if last_event_id is None else last_event_id
    if heard and live.state.status.ended and heard >= live.state.sequence:
        return Response(status_code=204)
    stream = Stream(gateway.live, gateway.log, live, heard)
    return EventStream(stream, gateway.live.closing)


@dataclass(eq=False, slots=True)
class Stream:
    """What one client of one job is sent."""

    jobs: LiveJobs
    log: EventLog
    live: LiveJob
    after: int
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: bool = True
    _beat: bool = False
    _budget: Budget = field(default_factory=lambda: Budget(CLIENT_BYTES))

    async def blocks(self) -> AsyncGenerator[str, None]:
        """Blocks of server-sent events, until the job has ended."""
        feed = Feed(self.log, self.live, self.after, self._stirred.set, self._budget, skips=False)
        lines = Lines(self._budget)

        def add(told: Told) -> None:
            lines.add(told)
            self._stirred.set()

        feed.open()
        self.live.listeners.add(self._update)
        try:
            yield RETRY
            await self._listen(add)
            while True:
                events = await self._events(feed)
                said, left_out = lines.take()
                yield "".join(
                    [
                        *(told_block("log", told, with_id=True) for told in events),
                        *(told_block("line", told) for told in said),
                        *(block("linesLeftOut", {"count": n}) for n in left_out.values()),
                        self._standing(),
                        self._heartbeat(),
                    ]
                )
                if feed.ready:
                    if not events:
                        await asyncio.sleep(_RETRY_S)
                elif self._over():
                    yield block("end", {"jobId": self.live.job, "status": self.live.state.status})
                    return
                elif not self._changed:
                    await self._stirred.wait()
        finally:
            feed.close()
            self.live.listeners.discard(self._update)
            self.jobs.lines.leave(self.live, add)

    async def _listen(self, add: Callable[[Told], None]) -> None:
        try:
            await self.jobs.lines.listen(self.live, add)
        except EventLogError as error:
            # Events are what counts: they go on without lines.
            log.warning("stream.no_lines", job=self.live.job, detail=str(error))

    async def _events(self, feed: Feed) -> list[Told]:
        self._stirred.clear()
        try:
            return [item for item in await feed.take() if isinstance(item, Told)]
        except EventLogError as error:
            log.info("stream.waiting", job=self.live.job, detail=str(error))
            return []

    def _update(self, live: LiveJob) -> None:
        del live
        self._changed = True
        self._stirred.set()

    def _standing(self) -> str:
        if not self._changed:
            return ""
        self._changed = False
        return f"event: update\ndata: {self.live.rendered(render)}\n\n"

    def _over(self) -> bool:
        state = self.live.state
        return not self._changed and (state.status.ended or state.deleted)

    def beat(self) -> None:
        """Send a comment, as nothing else was sent for a while."""
        self._beat = True
        self._stirred.set()

    def _heartbeat(self) -> str:
        beat, self._beat = self._beat, False
        return HEARTBEAT if beat else ""
