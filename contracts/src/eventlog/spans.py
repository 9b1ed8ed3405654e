"""The spans of jobs in the broker's memory: handed over by services, read by the gateway."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from contracts.spans import Span, SpanBatch
from nats.errors import ConnectionClosedError, OutboundBufferLimitError
from pydantic import ValidationError

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.errors import UnavailableError

log = structlog.get_logger(__name__)

_MOST_BATCHES = 2000


class JobSpans:
    """All spans that are kept."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def write(self, job: str, spans: Sequence[Span]) -> None:
        """Send spans on their way. Nobody waits for their arrival.

        Raises UnavailableError when too much waits already for a broker that is away.
        """
        batch = SpanBatch(job=job, spans=tuple(spans))
        try:
            await self._broker.client.publish(subjects.job_spans(job), batch.to_json())
        except (ConnectionClosedError, OutboundBufferLimitError) as error:
            raise UnavailableError(subjects.job_spans(job)) from error

    async def read(self, job: str) -> list[Span]:
        """The spans of a job that are kept now, in the order in which they came."""
        query = {"batch": _MOST_BATCHES, "seq": 1, "next_by_subj": subjects.job_spans(job)}
        found: list[Span] = []
        async for msg in self._broker.many(f"{API}DIRECT.GET.{subjects.SPANS}", query):
            try:
                found += SpanBatch.model_validate_json(msg.data).spans
            except ValidationError as error:
                log.warning("spans.unreadable", job=job, errors=error.error_count())
        return found
