"""Recorded jobs decided anew by the planner's own program, and what it says of them."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import typer

from myspinbot.counting import counting
from myspinbot.errors import FAILED
from myspinbot.replaying.decisions import difference_lines
from myspinbot.replaying.place import Place
from myspinbot.replaying.programs import Message, Settings, told_by, with_bar
from myspinbot.screen import counted, document, hint, out, plain

_MOST_SHOWN = 50


async def decide(place: Place, named: list[str], files: list[Path]) -> None:
    """Decide recorded jobs anew."""
    arguments = [word for path in files for word in ("--file", str(path))]
    if files:
        settings, jobs = Settings(), named
    else:
        settings, jobs = place.settings("observer"), await place.jobs(named, "observer")
    found: dict[str, list[Message]] = {"difference": [], "assumption": [], "unread": []}
    total: Message = {}
    with counting("Deciding anew") as told:
        messages = told_by("planner.replay", [*arguments, *jobs], settings)
        async with aclosing(messages):
            async for message in with_bar(messages, told):
                if "done" in message:
                    total = message
                for kind in found.keys() & message.keys() if "done" not in message else ():
                    found[kind].append(message[kind])
    if place.as_json:
        document(
            {
                **total,
                "differences": found["difference"],
                "assumptions": found["assumption"],
                "unread": found["unread"],
            }
        )
    else:
        _show_decisions(found, total)
    if found["difference"] or found["unread"]:
        raise typer.Exit(FAILED)


def _show_decisions(found: dict[str, list[Message]], total: Message) -> None:
    for difference in found["difference"][:_MOST_SHOWN]:
        for line in difference_lines(difference):
            out.print(line)
        out.print()
    if (more := len(found["difference"]) - _MOST_SHOWN) > 0:
        plain(f"… and {more:,} more; --json has all.")
    for each in found["unread"]:
        out.print(f"Job {each['job']}: {each['cause']}", style="yellow", markup=False)
    for each in found["assumption"]:
        absent = " and ".join(each["absent"])
        hint(
            f"Job {each['job']}, after event {each['sequence']}: the same if no runner had "
            f"{absent} then; the log does not tell."
        )
    otherwise = len(found["difference"])
    style = "bold red" if otherwise or found["unread"] else "bold green"
    what = f"{counted(total['decisions'], 'decision')} of {counted(total['jobs'], 'job')}"
    words = f"{otherwise:,} would be made otherwise today" if otherwise else "all the same today"
    unread = f"; {counted(len(found['unread']), 'job')} could not be read" * bool(found["unread"])
    out.print(f"{what}: {words}{unread}.", style=style, markup=False)
