"""Whether the views are what the log says: asked after tests that have made things happen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from eventlog.broker import BrokerAddress, connect
from eventlog.log import EventLog
from projector import positions
from projector.check.comparison import Difference
from projector.check.views import Checked, check
from projector.database import Database, open_database
from projector.projection import Projection
from projector.projections import ALL

_PATIENCE_S = 60.0


async def assert_views_match_log(
    address: BrokerAddress, database_url: str, projections: Sequence[Projection] = ALL
) -> list[Checked]:
    """Fail with the differences, if there are any, between live views and views made anew.

    `address` is of a role that may read the log, as `projector` and `observer` may, and
    `database_url` what the projector has. Waits until the views are where the log ends now, if a
    projector still runs, and compares everything up to there.
    """
    broker, database = await connect(address), open_database(database_url)
    differences: list[Difference] = []
    try:
        end = (await EventLog(broker, "check").position()).last_sequence
        await _reached(database, projections, end)
        checked = await check(broker, database, projections, differ=differences.append)
    finally:
        await database.close()
        await broker.close()
    assert not differences, differences[:20]
    assert all(one.position >= end for one in checked)
    return checked


async def _reached(database: Database, projections: Sequence[Projection], end: int) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            async with database.reading() as connection:
                if await positions.slowest(connection, projections) >= end:
                    return
            await asyncio.sleep(0.02)
