"""Brings projections that are behind the others level with them, before all go on together.

That is how a new projection, or a new version of one, is filled: it reads the log from the
beginning while the others keep what they have. It folds the jobs anew on its way, for those
that the others know are of a later position. Whoever is on the way already, because it was
interrupted or made by a rebuild, is joined where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import pairwise

import structlog
from sqlalchemy import delete

from projector import positions
from projector.database import Database
from projector.projection import Projection
from projector.projections import jobs
from projector.reading import Batches, up_to
from projector.track import Track
from projector.writer import writing

log = structlog.get_logger(__name__)

Read = Callable[[int], Batches]


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
        log.info("projector.filling", projections=[one.name for one in behind], end=end)
        await _fill(database, behind, known, end, read)
        await _empty(database)
    return Track(database, projections, jobs.PROJECTION, end)


async def _fill(
    database: Database,
    behind: Sequence[Projection],
    known: Mapping[tuple[str, int], int],
    end: int,
    read: Read,
) -> None:
    """Carry the hindmost to the next one, both of them to the next, and all of them to the end."""
    stops = sorted({known[one.key] for one in behind})
    states = jobs.PROJECTION if known.get(jobs.PROJECTION.key) == stops[0] < end else jobs.SCRATCH
    position = known[states.key]
    if states is jobs.SCRATCH and position > stops[0]:
        await _empty(database)
        position = 0
    if states is jobs.SCRATCH and position < stops[0]:
        # What was made elsewhere came without the states of its jobs.
        await _carry(
            database, Track(database, [jobs.SCRATCH], jobs.SCRATCH, position), stops[0], read
        )
    for start, stop in pairwise([*stops, end]):
        group = [one for one in behind if known[one.key] <= start]
        carried = group if states in group else [*group, states]
        await _carry(database, Track(database, carried, states, start), stop, read)


async def _carry(database: Database, track: Track, end: int, read: Read) -> None:
    async with (
        aclosing(read(track.position)) as batches,
        writing(database, end - track.position) as write,
        aclosing(track.follow(up_to(batches, end), write)) as written,
    ):
        async for _ in written:
            pass


async def _empty(database: Database) -> None:
    """Forget the states of an earlier position."""
    async with database.writing() as connection:
        await positions.reset(connection, [jobs.SCRATCH])
        for table in jobs.SCRATCH.tables:
            await connection.execute(delete(table))
