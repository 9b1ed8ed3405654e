"""The lines of attempts: written by runners, kept for a while, read in pages or as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from contracts.stagelog import StageLine
from nats.aio.msg import Msg
from pydantic import ValidationError

from contracts import subjects
from eventlog.broker import API, Broker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line and its place in the stream, from which reading may go on."""

    sequence: int
    line: StageLine


class StageLogs:
    """All lines that are kept."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def write(self, line: StageLine) -> None:
        """Send a line on its way. A line is a courtesy: nobody waits for its arrival.

        Raises UnavailableError when too much waits already for a broker that is away.
        """
        subject = subjects.stage_log(line.job, line.stage, line.attempt)
        await self._broker.send(subject, line.to_json())

    async def read(
        self,
        job: str,
        stage: str = "*",
        attempt: int | None = None,
        after: int = 0,
        limit: int = 500,
    ) -> AsyncIterator[StoredLine]:
        """Up to `limit` lines of a job, or of one stage or attempt, after a place in the stream."""
        subject = f"logs.{job}.{stage}.{attempt or '*'}"
        query = {"batch": limit, "seq": after + 1, "next_by_subj": subject}
        async for msg in self._broker.many(f"{API}DIRECT.GET.{subjects.STAGE_LOGS}", query):
            if (line := _line(msg)) is not None:
                yield StoredLine(int((msg.headers or {})["Nats-Sequence"]), line)

    async def end(self, job: str) -> int:
        """The place of the job's last line, or 0 if there is none."""
        query = {"multi_last": [subjects.job_logs(job)], "batch": 1024}
        replies = self._broker.many(f"{API}DIRECT.GET.{subjects.STAGE_LOGS}", query)
        return max([int((msg.headers or {})["Nats-Sequence"]) async for msg in replies], default=0)

    async def watch(self, callback: Callable[[StageLine], None]) -> Callable[[], Awaitable[None]]:
        """Call back for every line from now on; returns what ends it."""

        async def received(msg: Msg) -> None:
            if (line := _line(msg)) is not None:
                callback(line)

        subscription = await self._broker.client.subscribe(subjects.ALL_STAGE_LOGS, cb=received)
        return subscription.unsubscribe


def _line(msg: Msg) -> StageLine | None:
    try:
        return StageLine.model_validate_json(msg.data)
    except ValidationError as error:
        log.warning("stage_line.unreadable", subject=msg.subject, errors=error.error_count())
        return None
