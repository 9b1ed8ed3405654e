"""The views made anew from the log, or only compared with what they should be."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import typer

from myspinbot.counting import counting
from myspinbot.errors import FAILED, MISUSED, CommandError
from myspinbot.replaying.place import Place
from myspinbot.replaying.programs import Message, told_by, with_bar
from myspinbot.screen import counted, document, hint, out, plain, table

_MOST_SHOWN = 50


async def rebuild(place: Place, names: list[str], named: list[str], *, fresh: bool) -> None:
    """Make views anew beside those that answer."""
    settings = place.with_database()
    jobs = await place.jobs(named, "projector")
    arguments = [word for name in names for word in ("--projection", name)]
    done: list[Message] = []
    runs = [[*arguments, "--job", job] for job in jobs] or [[*arguments, *["--fresh"] * fresh]]
    for each in runs:
        try:
            with counting("Rebuilding") as told:
                async with aclosing(told_by("projector.rebuild", each, settings)) as messages:
                    async for message in with_bar(messages, told):
                        done.append(message)
                        if not place.as_json:
                            plain(_rebuilt(message))
        except asyncio.CancelledError:
            hint("Stopped. The view that answers is as it was; the same command goes on from here.")
            raise
    if place.as_json:
        document({"projections": done})


def _rebuilt(message: Message) -> str:
    return (
        f"{message['projection']}: {counted(message['events'], 'event')} folded in "
        f"{message['seconds']:.1f} s; {counted(message['written'], 'row')} written and "
        f"{message['removed']:,} removed that were not as the log tells; "
        f"it stands at event {message['position']:,}"
    )


async def check(place: Place, names: list[str], named: list[str]) -> None:
    """Compare views with what the log says they should be."""
    if named:
        raise CommandError(
            "--check compares whole views.", "Leave the job out, or see --help.", MISUSED
        )
    arguments = [word for name in names for word in ("--projection", name)]
    differences: list[Message] = []
    views: list[Message] = []
    total: Message = {}
    with counting("Checking") as told:
        messages = told_by("projector.check", arguments, place.with_database())
        async with aclosing(messages):
            async for message in with_bar(messages, told):
                if "difference" in message:
                    differences.append(message["difference"])
                elif "done" in message:
                    total = message
                else:
                    views.append(message)
    if place.as_json:
        document({**total, "projections": views, "differences": differences})
    else:
        _show_check(views, differences, total)
    if differences:
        raise typer.Exit(FAILED)


def _show_check(views: list[Message], differences: list[Message], total: Message) -> None:
    if differences:
        table(
            ("table", "key", "column", "is", "should be"),
            (
                (
                    each["table"],
                    " ".join(str(value) for value in each["key"].values()),
                    each["column"] or "the row",
                    _cell(each["live"]),
                    _cell(each["rebuilt"]),
                )
                for each in differences[:_MOST_SHOWN]
            ),
        )
        if (more := len(differences) - _MOST_SHOWN) > 0:
            plain(f"… and {more:,} more; --json has all.")
        names = sorted({each["projection"] for each in differences})
        again = " ".join(f"--projection {name}" for name in names)
        hint(f"`myspinbot replay {again}` puts them right.")
    found = counted(len(differences), "difference") if differences else "no difference"
    style = "bold red" if differences else "bold green"
    what = f"{counted(total['rows'], 'row')} of {counted(len(views), 'view')}"
    out.print(f"{what}: {found}, in {total['seconds']:.1f} s.", style=style, markup=False)


def _cell(value: Any) -> str:
    return "absent" if value is None else str(value)
