"""Brings projections that are behind the others level with them, before all go on together.

That is how a new projection, or a new version of one, is filled: it reads the log from the
beginning while the others keep what they have. It folds the jobs anew on its way, for those
that the others know are of a later position.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

import structlog
from contracts.envelope import Recorded
from sqlalchemy import delete

from projector import positions
from projector.database import Database
from projector.projection import Projection
from projector.projections import jobs
from projector.track import Track

log = structlog.get_logger(__name__)

Read = Callable[[int], AsyncGenerator[list[Recorded], None]]


async def level(
    database: Database,
    projections: Sequence[Projection],
    known: Mapping[tuple[str, int], int],
    read: Read,
) -> Track:
    """The track of all projections, once those behind have reached the foremost."""
    end = max(known[one.key] for one in projections)
    behind = [one for one in projections if known[one.key] < end]
    if behind:
        track = await _track_of(database, behind, known)
        log.info(
            "projector.filling",
            projections=[one.name for one in behind],
            position=track.position,
            end=end,
        )
        async with aclosing(read(track.position)) as batches:
            async for events in batches:
                await track.apply([event for event in events if event.sequence <= end])
                if track.position >= end:
                    break
        await _empty(database, [jobs.SCRATCH])
    return Track(database, projections, jobs.PROJECTION, end)


async def _track_of(
    database: Database, behind: Sequence[Projection], known: Mapping[tuple[str, int], int]
) -> Track:
    """A track of those behind, from where all of them are, or else from the beginning."""
    if jobs.PROJECTION in behind:
        group, states = list(behind), jobs.PROJECTION
    else:
        group, states = [*behind, jobs.SCRATCH], jobs.SCRATCH
    start = known[states.key]
    if any(known[one.key] != start for one in group):
        await _empty(database, group)
        start = 0
    return Track(database, group, states, start)


async def _empty(database: Database, projections: Sequence[Projection]) -> None:
    async with database.writing() as connection:
        await positions.reset(connection, projections)
        for projection in projections:
            for table in projection.tables:
                await connection.execute(delete(table))
