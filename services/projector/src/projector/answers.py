"""Answers queries from the views, no older than the client asks for, and only to owners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from contracts.base import Contract
from contracts.queries import Answer, Query, QueryError

from projector import metrics, positions
from projector.database import Database
from projector.errors import DatabaseUnavailableError
from projector.projection import Projection, Reply

PATIENCE_S = 5.0
"""How long a query waits for the view to reach its `min_position`."""


class Progress:
    """How far the views are, for those who wait for it."""

    def __init__(self) -> None:
        self.position = 0
        self.halted: str | None = None
        self.trusted = True
        self._moved = asyncio.Condition()

    async def reached(self, position: int) -> None:
        """The views now hold the events up to this sequence."""
        async with self._moved:
            self.position = position
            self._moved.notify_all()

    async def halt(self, reason: str, *, trusted: bool) -> None:
        """The views will not move until an operator has acted.

        `trusted` says whether they are right as far as they go, and may still be shown.
        """
        async with self._moved:
            self.halted, self.trusted = reason, trusted
            self._moved.notify_all()

    async def resume(self) -> None:
        """The operator has acted: the views move again, from wherever they are now."""
        async with self._moved:
            self.position, self.halted, self.trusted = 0, None, True

    async def wait(self, position: int, patience_s: float) -> None:
        """Return when the position is reached, no longer awaited, or not to be reached."""
        try:
            async with asyncio.timeout(patience_s), self._moved:
                await self._moved.wait_for(lambda: self.position >= position or self.halted)
        except TimeoutError:
            return


class Answers:
    """The handler of all queries."""

    def __init__(
        self,
        database: Database,
        projections: Sequence[Projection],
        progress: Progress,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database = database
        self._projections = tuple(projections)
        self._progress = progress
        self._patience_s = patience_s
        self._replies: Mapping[type[Query], Reply] = {
            query: reply for one in projections for query, reply in one.replies.items()
        }

    async def __call__(self, query: Query) -> Answer:
        """The answer to a query, from one snapshot."""
        with metrics.timed(query.subject) as outcome:
            answer = await self._answer(query)
            outcome.name = answer.error.code if answer.error else "ok"
            return answer

    async def _answer(self, query: Query) -> Answer:
        if self._progress.position < query.min_position:
            await self._progress.wait(query.min_position, self._patience_s)
        try:
            async with self._database.reading() as connection:
                position = await positions.slowest(connection, self._projections)
                if position < query.min_position or not self._progress.trusted:
                    return self._behind(position, query.min_position)
                found = await self._replies[type(query)](connection, query)
        except DatabaseUnavailableError as error:
            return Answer(position=0, error=QueryError(code="behind", detail=str(error)))
        if found is None:
            detail = "there is no such thing, or it is not yours"
            return Answer(position=position, error=QueryError(code="not_found", detail=detail))
        result = json.loads(found.to_json()) if isinstance(found, Contract) else dict(found)
        return Answer(position=position, result=result)

    def _behind(self, position: int, wanted: int) -> Answer:
        detail = self._progress.halted or (
            f"the views have read up to event {position} and not yet to {wanted}; ask again"
        )
        return Answer(position=position, error=QueryError(code="behind", detail=detail))
