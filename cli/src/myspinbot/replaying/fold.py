"""The log, a part of it or some jobs folded by today's code, and what comes out."""

from __future__ import annotations

import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from eventlog.index import sequence_before
from eventlog.reader import read_stored_log

from myspinbot.commands.events.selecting import position
from myspinbot.counting import counting
from myspinbot.errors import FAILED, MISUSED, CommandError
from myspinbot.replaying.folding import Folding
from myspinbot.replaying.place import Place
from myspinbot.screen import counted, document, hint, out, plain, table

if TYPE_CHECKING:
    from eventlog.broker import Broker

    from myspinbot.commands.events.session import LogSession


async def fold(place: Place, named: list[str], since: str | None, until: str | None) -> None:
    """Fold the log, or some jobs of it, and say what comes out."""
    now = datetime.now(UTC)
    if named and (since or until):
        raise CommandError(
            "Jobs are folded whole.", "Leave out either the jobs or --since and --until.", MISUSED
        )
    async with place.session() as session:
        if named:
            folding, took_s = await _fold_jobs(session, named)
        else:
            begin = await _sequence(session.broker, since, now) if since else 0
            end = (await session.log.position()).last_sequence
            if until:
                end = min(end, await _sequence(session.broker, until, now))
            folding, took_s = await _fold_log(session, begin, end)
    if place.as_json:
        document(folding.document(took_s) | ({"jobsById": folding.jobs()} if named else {}))
    else:
        _show_folding(folding, took_s, one_by_one=bool(named))
    if folding.unread:
        raise typer.Exit(FAILED)


async def _sequence(broker: Broker, given: str, now: datetime) -> int:
    found = position(given, now)
    return found if isinstance(found, int) else await sequence_before(broker, found)


async def _fold_jobs(session: LogSession, named: list[str]) -> tuple[Folding, float]:
    folding = Folding()
    jobs = {(history := await session.stored(given))[0].job: history for given in named}
    began = time.perf_counter()
    for history in jobs.values():
        for place, stored in enumerate(history):
            folding.take(stored, history[:place] if folding.lacks(stored) else None)
    return folding, time.perf_counter() - began


async def _fold_log(session: LogSession, since: int, end: int) -> tuple[Folding, float]:
    folding = Folding(since)
    began = time.perf_counter()
    if end > since:
        with counting("Folding", end) as told:
            async with aclosing(read_stored_log(session.broker, 0)) as batches:
                async for batch in batches:
                    for stored in batch:
                        if stored.sequence > end:
                            break
                        earlier = None
                        if folding.lacks(stored):
                            reading = session.log.read_stored(stored.job)
                            earlier = [e async for e in reading if e.sequence < stored.sequence]
                        folding.take(stored, earlier)
                    told(min(batch[-1].sequence, end), end)
                    if batch[-1].sequence >= end:
                        break
    return folding, time.perf_counter() - began


def _show_folding(folding: Folding, took_s: float, *, one_by_one: bool) -> None:
    told = folding.document(took_s)
    rate = f": {told['eventsPerS']:,} events/s" if told["eventsPerS"] and not one_by_one else ""
    what = f"{counted(told['events'], 'event')} of {counted(told['jobs'], 'job')}"
    if one_by_one:
        table(("job", "status"), folding.jobs().items())
    out.print(f"{what} folded in {took_s:.1f} s{rate}.", style="bold", markup=False)
    if not one_by_one and told["byStatus"]:
        plain("; ".join(f"{count:,} {status}" for status, count in told["byStatus"].items()))
    if folding.idle:
        hint(
            f"{counted(folding.idle, 'event')} changed nothing: late, told twice, or of an attempt "
            "that was over."
        )
    for each in folding.unreadable:
        words = f"event {each.sequence}, job {each.job}: {each.problem}"
        out.print(words, style="red", markup=False)
    if folding.unread:
        out.print(
            f"{counted(folding.unread, 'event')} cannot be understood: install the version that "
            "wrote them.",
            style="bold red",
            markup=False,
        )
