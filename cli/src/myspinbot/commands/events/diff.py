"""`myspinbot events diff`: what changed in a job between two moments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from myspinbot.commands.events.at import PLACE_HELP, named, warn
from myspinbot.commands.events.session import LoggedJob, LogSession, reading
from myspinbot.commands.options import examples
from myspinbot.screen import document, hint, out
from myspinbot.story.difference import Change, difference
from myspinbot.story.history import Entry
from myspinbot.story.patch import patch
from myspinbot.story.places import place

_STYLES = {Change.ADDED: "green", Change.REMOVED: "red", Change.CHANGED: "yellow"}
# What the heading says already.
_HEADING = ("job", "sequence", "updatedAt")


@examples(
    "myspinbot events diff last '#5' '#12'",
    "myspinbot events diff 01k9z3… 1804",
    "myspinbot events diff 01k9z3… 17:30:11 17:30:39 --json",
)
@reading
async def diff(
    session: LogSession,
    job: LoggedJob,
    before: Annotated[str, typer.Argument(metavar="A", help=PLACE_HELP, show_default=False)],
    after: Annotated[
        str | None,
        typer.Argument(
            metavar="B", help="The same; the job's end, if there is none.", show_default=False
        ),
    ] = None,
) -> None:
    """Show what changed between two moments; as JSON, the patch (RFC 6902) from A to B."""
    entries = await session.history(job)
    now = datetime.now(UTC)
    end = (await session.log.position()).last_sequence
    first = place(before, entries, end, now)
    second = entries[-1] if after is None else place(after, entries, end, now)
    warn(entries[: max(first.number, second.number)])
    if session.as_json:
        document(patch(_state(first), _state(second)))
        return
    _show(first, second, len(entries))


def _show(first: Entry, second: Entry, count: int) -> None:
    out.print(f"from {named(first, count)}", style="bold", markup=False)
    out.print(f"to   {named(second, count)}", style="bold", markup=False)
    out.print()
    lines = list(difference(_told(first), _told(second), out.width))
    for line in lines:
        out.print(str(line), style=_STYLES.get(line.change, ""), markup=False)
    if not lines:
        hint("The job was the same at both.")


def _state(entry: Entry) -> dict[str, Any]:
    return entry.after.model_dump(mode="json", by_alias=True, exclude_none=True)


def _told(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in _state(entry).items() if name not in _HEADING}
