"""What waits to be sent to one client, within bounds.

Of how a job stands only the latest waits, so it is never out of date; events wait in order
up to a number of bytes, and what does not fit is left out and told as a gap; so are lines.
Answers to what the client said are few, or it is not served any longer.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eventlog.errors import EventLogError
from eventlog.log import EventLog

from gateway.live.feed import CLIENT_BYTES, Budget, Feed, Gap, Lines
from gateway.live.job import LiveJob
from gateway.live.told import Told

_RESPONSES = 256
_RETRY_S = 0.5


@dataclass(eq=False, slots=True)
class Outbox:
    """What waits. `render` makes the message of how a job stands."""

    render: Callable[[LiveJob], str]
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    _responses: deque[str] = field(default_factory=deque)
    _changed: OrderedDict[str, LiveJob] = field(default_factory=OrderedDict)
    _feeds: dict[str, Feed] = field(default_factory=dict)
    _budget: Budget = field(default_factory=lambda: Budget(CLIENT_BYTES))
    _lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Lines(self._budget)

    @property
    def overrun(self) -> bool:
        """Whether the client asks and asks, and does not read the answers."""
        return len(self._responses) >= _RESPONSES

    def respond(self, response: dict[str, Any]) -> None:
        """Add an answer to what the client said."""
        self._responses.append(json.dumps(response))
        self.stirred.set()

    def update(self, live: LiveJob) -> None:
        """Note that a job has changed; however often, it waits once."""
        self._changed[live.job] = live
        self.stirred.set()

    def line(self, told: Told) -> None:
        """Add a line of a job."""
        self._lines.add(told)
        self.stirred.set()

    def follow(self, log: EventLog, live: LiveJob, after: int) -> None:
        """Send every event of a job after a sequence, and go on as they come."""
        self.unfollow(live.job)
        feed = Feed(log, live, after, self.stirred.set, self._budget, skips=True)
        self._feeds[live.job] = feed
        feed.open()
        self.stirred.set()

    def unfollow(self, job: str) -> None:
        """Send no more events of a job."""
        if feed := self._feeds.pop(job, None):
            feed.close()

    def forget(self, job: str) -> None:
        """Nothing more is said of a job."""
        self.unfollow(job)
        self._changed.pop(job, None)
        self._lines.forget(job)

    def close(self) -> None:
        """The client is gone."""
        for job in tuple(self._feeds):
            self.unfollow(job)

    async def take(self) -> list[str]:
        """What waits: answers first, then events and lines, and how jobs stand last.

        Histories are given page by page, so there may be more to take at once; of many jobs no
        more of them is taken than may wait for one client.
        """
        self.stirred.clear()
        messages, size = list(self._responses), 0
        self._responses.clear()
        for job in tuple(self._feeds):
            if size >= CLIENT_BYTES:
                self.stirred.set()
                break
            if (feed := self._feeds.pop(job, None)) is not None:
                # Behind those whose turn has not come.
                self._feeds[job] = feed
                events = await self._events(feed)
                messages += events
                size += sum(map(len, events))
        lines, left_out = self._lines.take()
        for told in lines:
            messages.append(f'{{"type":"line","jobId":"{told.job}","line":{told.text}}}')
        for job, count in left_out.items():
            messages.append(f'{{"type":"linesLeftOut","jobId":"{job}","count":{count}}}')
        changed = tuple(self._changed.values())
        self._changed.clear()
        messages += [live.rendered(self.render) for live in changed]
        return messages

    async def _events(self, feed: Feed) -> list[str]:
        if not feed.ready:
            return []
        try:
            taken = await feed.take()
        except EventLogError:
            taken = []
        if feed.behind:
            # At once if there are more pages; after a moment if the log did not say more.
            delay = 0.0 if taken else _RETRY_S
            asyncio.get_running_loop().call_later(delay, self.stirred.set)
        return [_message(item) for item in taken]


def _message(item: Told | Gap) -> str:
    if isinstance(item, Gap):
        gap = {"type": "gap", "jobId": item.job, "after": item.after, "before": item.before}
        return json.dumps(gap)
    return f'{{"type":"event","jobId":"{item.job}","sequence":{item.place},"event":{item.text}}}'
