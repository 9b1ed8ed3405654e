"""A job's story played back at another pace: what took an hour is told in minutes."""

from __future__ import annotations

import asyncio
import os
import webbrowser
from collections.abc import Iterator, Sequence
from datetime import datetime

from contracts.envelope import Stored

from myspinbot.commands.open import has_browser
from myspinbot.commands.options import LATEST
from myspinbot.errors import MISUSED, CommandError
from myspinbot.replaying.place import Place
from myspinbot.screen import hint, json_line
from myspinbot.story.history import time_of
from myspinbot.tail import Printer

FASTEST = 1000.0


def pace(given: str) -> float:
    """How many times as fast `10x`, `10` or `0.5x` is; CommandError if it is no pace."""
    try:
        speed = float(given.strip().lower().removesuffix("x"))
    except ValueError:
        speed = 0.0
    if 0 < speed <= FASTEST:
        return speed
    raise CommandError(
        f"{given!r} is no speed.", f"Give it as 10x, at most {FASTEST:.0f}x.", MISUSED
    )


def seconds(given: str) -> float:
    """The seconds in `5s` or `0.5`; CommandError if they are none."""
    try:
        found = float(given.strip().lower().removesuffix("s"))
    except ValueError:
        found = -1.0
    if 0 <= found <= 60:
        return found
    raise CommandError(f"{given!r} is no pause.", "Give it as 5s, at most 60s.", MISUSED)


def paused(
    events: Sequence[Stored], speed: float, longest_s: float
) -> Iterator[tuple[float, Stored]]:
    """Each event with the seconds to wait before it; none where a clock ran backwards."""
    before: datetime | None = None
    for stored in events:
        time = time_of(stored)
        apart = (time - before).total_seconds() if time and before else 0.0
        yield min(max(apart, 0.0) / speed, longest_s), stored
        if time is not None:
            before = max(before, time) if before else time


async def play(
    place: Place, named: list[str], speed: str, longest: str, *, open_page: bool
) -> None:
    """Play a job back in the terminal, and say where the page does."""
    times, longest_s = pace(speed), seconds(longest)
    if len(named) > 1:
        raise CommandError("Several jobs are named.", "One is played back at a time.", MISUSED)
    async with place.session() as session:
        events = await session.stored(named[0] if named else LATEST)
    job = events[0].job
    address = place.page(f"#/jobs/{job}/playback?speed={times:g}")
    if place.as_json:
        json_line({"jobId": job, "speed": times, "longestS": longest_s, "page": address})
    elif address:
        hint(f"In the page: {address}")
    if open_page and address and has_browser(os.environ):
        webbrowser.open(address)
    printer = Printer(place.as_json, one_job=True)
    for pause_s, stored in paused(events, times, longest_s):
        await asyncio.sleep(pause_s)
        printer.show(stored)
