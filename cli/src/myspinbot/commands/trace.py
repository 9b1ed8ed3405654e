"""`myspinbot trace`: where the time of a job went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from myspinbot.client.replies import Span, Trace
from myspinbot.commands.options import LATEST, NewestJobArgument, Session, connected, examples
from myspinbot.progress import duration
from myspinbot.screen import hint, interactive, out, plain, table

_STEPS = ("stage ", "queue ", "child ", "job ")
_WIDTH = 32
_STYLES = {"failed": "red", "running": "cyan"}


@examples(
    "myspinbot trace",
    "myspinbot trace 01k9z3… --all",
    "myspinbot trace --json | jq -r '.spans[] | [.name, .durationS] | @tsv'",
)
@connected
async def trace(
    session: Session,
    job: NewestJobArgument = LATEST,
    *,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also each message, object and SQL statement.", show_default=False
        ),
    ] = False,
) -> None:
    """Show where the time of a job went: queue, work and engine of each stage.

    Through a pipe each line is name, service, start and length in seconds, and state.
    """
    found = await session.client.jobs.trace(await session.job(job))
    session.show(found, lambda: present(found, everything=everything))


def present(found: Trace, *, everything: bool) -> None:
    """Show a trace on the screen: a row for each span, with a bar where one can be seen."""
    rows = list(_chosen(found, everything=everything))
    if not interactive():
        table((), (_cells(span) for span in rows))
        return
    longest = max((len(_indented(span)) for span in rows), default=0)
    for span in rows:
        line = f"{_indented(span):<{longest}}  {_bar(span, found.duration_s)}  {_took(span)}"
        out.print(line, style=_STYLES.get(span.status, ""), markup=False)
    if not found.sampled:
        hint("No spans are kept of this job: this is what the log tells.")
    if found.trace_url:
        plain("")
        hint(f"Trace {found.trace_id or ''}: {found.trace_url}")


def _chosen(found: Trace, *, everything: bool) -> Iterator[Span]:
    for span in found.spans:
        if everything or span.depth == 0 or span.name.startswith(_STEPS):
            yield span


def _indented(span: Span) -> str:
    again = f" #{span.attempt}" if (span.attempt or 1) > 1 else ""
    return f"{'  ' * span.depth}{span.name}{again}"


def _bar(span: Span, whole_s: float) -> str:
    if whole_s <= 0:
        return " " * _WIDTH
    start = min(int(span.offset_s / whole_s * _WIDTH), _WIDTH - 1)
    length = max(1, min(round(span.duration_s / whole_s * _WIDTH), _WIDTH - start))
    return f"{' ' * start}{'█' * length}{' ' * (_WIDTH - start - length)}"


def _took(span: Span) -> str:
    seconds = span.duration_s
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else duration(seconds)


def _cells(span: Span) -> tuple[str, ...]:
    return (
        _indented(span).strip(),
        span.service,
        f"{span.offset_s:.3f}",
        f"{span.duration_s:.3f}",
        span.status,
    )
