"""`myspinbot events at`: a job as it was at an earlier moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from myspinbot.commands.events.session import LoggedJob, LogSession, reading
from myspinbot.commands.options import examples
from myspinbot.commands.show import present
from myspinbot.screen import document, err, out
from myspinbot.story import sentence
from myspinbot.story.detail import detail
from myspinbot.story.history import Entry
from myspinbot.story.places import place

PLACE_HELP = "An event's number as '#3', a position in the log as 41, or a time: 17:30:39, 2h."


@examples(
    "myspinbot events at last '#12'",
    "myspinbot events at 01k9z3… 1804",
    "myspinbot events at 01k9z3… 17:30:39",
    "myspinbot events at 01k9z3… 2026-11-22T17:30:39Z --json | jq .stages",
)
@reading
async def at(
    session: LogSession,
    job: LoggedJob,
    when: Annotated[str, typer.Argument(metavar="PLACE", help=PLACE_HELP, show_default=False)],
) -> None:
    """Show a job as it was right after an event, or at a time: folded from the log alone."""
    entries = await session.history(job)
    end = (await session.log.position()).last_sequence
    found = place(when, entries, end, datetime.now(UTC))
    warn(entries[: found.number])
    if session.as_json:
        document(found.after.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    out.print(f"After {named(found, len(entries))}", style="bold", markup=False)
    if found.recorded:
        out.print(sentence(found.recorded.event), style="dim", markup=False)
    out.print()
    present(detail(found.after))


def named(entry: Entry, count: int) -> str:
    """An event as a heading names it."""
    time = f", {entry.time.astimezone():%Y-%m-%d %H:%M:%S}" if entry.time else ""
    return f"#{entry.number} of {count}, position {entry.sequence}{time}"


def warn(entries: Iterable[Entry]) -> None:
    """Say which of the events are not in the states after them."""
    for entry in entries:
        if entry.problem:
            err.print(f"Without #{entry.number}: {entry.problem}.", style="yellow", markup=False)
