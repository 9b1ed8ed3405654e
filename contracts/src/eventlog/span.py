"""Reads a part of the log and ends, also where events are missing from it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from contracts.envelope import Stored

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.errors import GapError
from eventlog.reader import WINDOW, read_stored_log


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the log reaches.

    `last` is the last event that was ever appended, `end` the last that is still there: without
    a gap at the end they are the same. Both are 0 in an empty log.
    """

    created: datetime
    last: int
    end: int


async def extent(broker: Broker) -> Extent:
    """How far the log reaches now. Raises UnavailableError if there is none."""
    info = await broker.api(f"STREAM.INFO.{subjects.JOBS}")
    body = json.dumps({"last_by_subj": subjects.ALL_EVENTS}).encode()
    msg = await broker.request(f"{API}DIRECT.GET.{subjects.JOBS}", body)
    end = int((msg.headers or {}).get("Nats-Sequence", 0))
    # An event may have come in between the two answers.
    return Extent(
        created=datetime.fromisoformat(info["created"]),
        last=max(int(info["state"]["last_seq"]), end),
        end=end,
    )


async def read_span(broker: Broker, after: int, end: int) -> AsyncIterator[list[Stored]]:
    """The events after a sequence up to `end`, which must be there, as they were written.

    Goes on after a gap: whoever minds compares the sequences.
    """
    limit, resume_after = end, 0
    while after < end:
        try:
            async with aclosing(_contiguous(broker, after, limit)) as batches:
                async for batch in batches:
                    after = batch[-1].sequence
                    yield batch
        except GapError as gap:
            # What stands before the gap came in the same window, and is asked for again.
            limit, resume_after = gap.expected - 1, gap.found - 1
        if after >= limit and after < end:
            after, limit = resume_after, end


async def _contiguous(broker: Broker, after: int, limit: int) -> AsyncGenerator[list[Stored], None]:
    """The same up to the first gap. No window reaches beyond `limit`."""
    if after >= limit:
        return
    window = min(WINDOW, limit - after)
    async with aclosing(read_stored_log(broker, after, window)) as batches:
        async for batch in batches:
            kept = [stored for stored in batch if stored.sequence <= limit]
            if kept:
                yield kept
            if batch[-1].sequence >= limit:
                return
