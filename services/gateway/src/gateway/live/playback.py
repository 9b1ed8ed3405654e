"""A job's past as it went, told again at another speed: `/api/jobs/{job}/playback`.

The messages are those of the live stream, made from the log and the kept lines alone, one
page at a time. Nothing is written, and nobody else hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated

from contracts.envelope import Recorded
from contracts.fold import initial
from eventlog.log import EventLog, utc_now
from eventlog.patience import insist
from eventlog.stagelogs import StageLogs, StoredLine
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from gateway.context import Owner, TheGateway
from gateway.jobs.routes import find
from gateway.jobs.views import update_of
from gateway.live.event_stream import HEARTBEAT, RETRY, EventStream, block, told_block
from gateway.live.job import LiveJob
from gateway.live.told import told_event, told_line

router = APIRouter(prefix="/api", tags=["jobs"])

_PAGE = 200
_PAGE_BYTES = 64 * 1024
_PATIENCE_S = 20.0
_FASTEST = 1000.0
_LONGEST_S = 60.0

Moment = Recorded | StoredLine
"""Something that happened, or was said."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How recorded time is told: `speed` times as fast, and no pause longer than `longest_s`."""

    speed: float
    longest_s: float

    def pause_s(self, before: datetime | None, at: datetime) -> float:
        """Seconds between two moments; 0 where a clock ran backwards."""
        recorded_s = (at - before).total_seconds() if before else 0.0
        return min(max(recorded_s, 0.0) / self.speed, self.longest_s)


@router.get(
    "/jobs/{job}/playback",
    response_class=Response,
    responses={
        200: {
            "description": "`log`, `update` and `line` as in the live stream, each when it is due; "
            "`end`: all that is recorded was told",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 1804\nevent: log\ndata: {"sequence":1804,"type":"StageStarted",'
                    '"stage":"train_lora","attempt":1}\n\n',
                }
            },
        },
        204: {"description": "Nothing is recorded after this event"},
    },
)
async def get_playback(
    job: str,
    gateway: TheGateway,
    owner: Owner,
    *,
    speed: Annotated[
        float, Query(gt=0, le=_FASTEST, description="how many times as fast as it was")
    ] = 10.0,
    longest: Annotated[
        float, Query(ge=0, le=_LONGEST_S, description="the longest pause, in seconds")
    ] = 5.0,
    after: Annotated[int, Query(ge=0, lt=2**63, description="the sequence to begin after")] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, lt=2**63, description="what an EventSource sends; before `after`")
    ] = None,
) -> Response:
    """The recorded past of a job as server-sent events, at the pace at which it went or faster."""
    live = await find(gateway, job, owner)
    heard = after if last_event_id is None else last_event_id
    until = live.state.sequence
    if heard >= until:
        return Response(status_code=204)
    playback = Playback(
        gateway.log,
        StageLogs(gateway.broker),
        job,
        Pace(speed, longest),
        heard,
        until,
        utc_now(),
    )
    return EventStream(playback, gateway.live.closing)


@dataclass(eq=False, slots=True)
class Playback:
    """What one client is sent of a job: what was recorded until it asked."""

    log: EventLog
    logs: StageLogs
    job: str
    pace: Pace
    after: int
    until: int
    """The last event."""
    now: datetime
    """No line was written after this."""
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)

    async def blocks(self) -> AsyncGenerator[str, None]:
        """Blocks of server-sent events, each when it is due."""
        live = LiveJob(initial(self.job))
        yield RETRY
        before = await self._begin(live)
        if before is not None:
            yield _standing(live, before)
        clock = asyncio.get_running_loop().time
        due = clock()
        async for moment in self._moments(before):
            at = _time(moment)
            # A client that took its time is not told in a rush what it has missed.
            due = max(due, clock() - self.pace.longest_s) + self.pace.pause_s(before, at)
            async for heartbeat in self._wait(due):
                yield heartbeat
            before = max(before or at, at)
            if isinstance(moment, StoredLine):
                yield told_block("line", told_line(moment))
                continue
            live.follow(moment)
            yield told_block("log", told_event(moment), with_id=True) + _standing(live, at)
        yield block("end", {"jobId": self.job, "status": live.state.status})

    def beat(self) -> None:
        """Send a comment, as nothing else was sent for a while."""
        self._stirred.set()

    async def _wait(self, due: float) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        while (left_s := due - clock()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._stirred.wait()
            except TimeoutError:
                return
            self._stirred.clear()
            yield HEARTBEAT

    async def _begin(self, live: LiveJob) -> datetime | None:
        """Let the job come to the event to begin after; when that was."""
        before = None
        async for recorded in self._events(0, min(self.after, self.until)):
            live.follow(recorded)
            before = recorded.time
        return before

    async def _moments(self, since: datetime | None) -> AsyncIterator[Moment]:
        """Events and lines by time; events in the order of the log, whatever their clocks said."""
        events, lines = self._events(self.after, self.until), self._lines(since)
        event, line = await anext(events, None), await anext(lines, None)
        while event is not None or line is not None:
            if line is None or (event is not None and event.time <= line.line.at):
                yield event  # type: ignore[misc]  # One of the two is there.
                event = await anext(events, None)
            else:
                yield line
                line = await anext(lines, None)

    async def _events(self, after: int, until: int) -> AsyncIterator[Recorded]:
        more = after < until
        while more:
            reading = partial(self.log.read_page, self.job, after, _PAGE, _PAGE_BYTES)
            page, more = await insist(reading, _PATIENCE_S)
            for recorded in page:
                if recorded.sequence > until:
                    return
                after = recorded.sequence
                yield recorded
            more = more and bool(page)

    async def _lines(self, since: datetime | None) -> AsyncIterator[StoredLine]:
        after = 0
        while page := await insist(partial(self._page, after), _PATIENCE_S):
            for stored in page:
                after = stored.sequence
                if stored.line.at > self.now:
                    return
                if since is None or stored.line.at > since:
                    yield stored

    async def _page(self, after: int) -> list[StoredLine]:
        return [line async for line in self.logs.read(self.job, after=after, limit=_PAGE)]


def _time(moment: Moment) -> datetime:
    return moment.line.at if isinstance(moment, StoredLine) else moment.time


def _standing(live: LiveJob, at: datetime) -> str:
    """How the job stood."""
    return f"event: update\ndata: {update_of(live, at).model_dump_json(by_alias=True)}\n\n"
