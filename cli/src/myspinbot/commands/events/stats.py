"""`myspinbot events stats`: the whole log in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from contracts import subjects
from myspinbot.commands.events.session import LogSession, reading
from myspinbot.commands.options import examples
from myspinbot.screen import document, err, out, size, table, when
from myspinbot.story.spans import span
from myspinbot.story.statistics import Statistics

_BAR = 24
_MOST_DAYS = 14


@examples("myspinbot events stats", "myspinbot events stats --json | jq .types")
@reading
async def stats(session: LogSession) -> None:
    """Count the log: events by type and day, jobs, bytes, rates, the largest events."""
    info = await session.broker.api(f"STREAM.INFO.{subjects.JOBS}")
    state: dict[str, Any] = info["state"]
    found = Statistics()
    if int(state["messages"]):
        with _progress(int(state["messages"])) as (progress, task):
            await _count(session, found, int(state["last_seq"]), progress, task)
    stream = {
        "name": info["config"]["name"],
        "created": info["created"],
        "storedBytes": int(state["bytes"]),
        "firstSequence": int(state["first_seq"]),
        "lastSequence": int(state["last_seq"]),
        "readers": int(state["consumer_count"]),
    }
    if session.as_json:
        document({"stream": stream, **found.document()})
    else:
        _show(found, stream)


async def _count(
    session: LogSession, found: Statistics, end: int, progress: Progress, task: TaskID
) -> None:
    # Imported where it is used: other commands need no broker, and should start fast.
    from eventlog.reader import read_stored_log

    async with aclosing(read_stored_log(session.broker, 0)) as batches:
        async for batch in batches:
            for stored in batch:
                if stored.sequence <= end:
                    found.add(stored)
            progress.update(task, completed=found.total.events)
            if batch[-1].sequence >= end:
                return


@contextmanager
def _progress(total: int) -> Iterator[tuple[Progress, TaskID]]:
    bar = Progress(
        TextColumn("Reading the log"),
        BarColumn(bar_width=_BAR),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        yield bar, bar.add_task("", total=total)


def _show(found: Statistics, stream: dict[str, Any]) -> None:
    for label, value in _facts(found, stream):
        out.print(f"{label + ':':<11} {value}", markup=False)
    total = found.total
    if not total.events:
        return
    out.print()
    table(
        ("type", "events", "share", "bytes", "mean", "largest"),
        (
            (
                name,
                f"{each.events:,}",
                f"{each.events / total.events:.1%}",
                size(each.bytes),
                size(each.bytes / each.events),
                size(each.largest),
            )
            for name, each in sorted(found.types.items(), key=lambda item: -item[1].events)
        ),
    )
    out.print()
    _days(found)
    out.print()
    table(
        ("largest", "position", "type", "job"),
        ((size(e["bytes"]), str(e["sequence"]), e["type"], e["jobId"]) for e in found.largest()),
    )


def _days(found: Statistics) -> None:
    newest = sorted(found.days.items())[-_MOST_DAYS:]
    most = max(day.events for _, day in newest)
    table(
        ("day (UTC)", "events", "jobs", "bytes", ""),
        (
            (
                name,
                f"{day.events:,}",
                f"{day.jobs:,}",
                size(day.bytes),
                "█" * max(round(day.events / most * _BAR), 1),
            )
            for name, day in newest
        ),
    )
    if len(found.days) > len(newest):
        out.print(f"… and {len(found.days) - len(newest)} days before", style="dim")


def _facts(found: Statistics, stream: dict[str, Any]) -> Iterator[tuple[str, str]]:
    total = found.total
    reach = f"{stream['firstSequence']:,} to {stream['lastSequence']:,}"
    yield "log", f"{total.events:,} events, at positions {reach}"
    yield "size", f"{size(total.bytes)} of events, {size(stream['storedBytes'])} with their headers"
    if found.first and found.last and found.busiest:
        seconds = found.length.total_seconds()
        yield "from", f"{when(found.first)} to {when(found.last)}, {span(seconds)}"
        rate = f"{total.events / seconds:.3g} events/s on average, " if seconds else ""
        yield "rate", f"{rate}at most {found.busiest[0]:,} in a minute ({when(found.busiest[1])})"
    if found.jobs:
        quantiles = ", ".join(f"{name} {count}" for name, count in found.per_job().items())
        yield "jobs", f"{len(found.jobs):,}; events of one: {quantiles}"
    if found.backwards:
        times = "time" if found.backwards == 1 else "times"
        yield "clocks", f"went back {found.backwards:,} {times}: they disagree, or jobs were copied"
    for problem, count in found.unknown.items():
        yield "unknown", f"{problem} ({count:,} events)"
