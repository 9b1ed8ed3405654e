"""How commands talk to a person: results on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from myspinbot.client.replies import Reply

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show_error(cause: str, remedy: str) -> None:
    """Why it failed and what to do next."""
    err.print(cause, style="bold red", markup=False)
    err.print(remedy, markup=False)


def plain(line: str) -> None:
    """A line that scripts may read: never wrapped, coloured or interpreted."""
    print(line, flush=True)  # noqa: T201


def hint(line: str) -> None:
    """A word beside the result, for whoever reads along."""
    err.print(line, style="dim", markup=False)


def document(reply: Any) -> None:
    """An answer as one JSON document."""
    plain(json.dumps(_plain(reply), ensure_ascii=False, indent=2))


def json_line(reply: Any) -> None:
    """One JSON document of a stream of them."""
    plain(json.dumps(_plain(reply), ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings; for programs, lines of cells with tabs between them."""
    if not interactive():
        for row in rows:
            plain("\t".join(row))
        return
    drawn = Table(box=None, header_style="dim", pad_edge=False)
    for place, heading in enumerate(headings):
        # What a row is called by stays in one piece, to be copied.
        drawn.add_column(heading, overflow="fold", no_wrap=place == 0)
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    out.print(drawn)


def interactive() -> bool:
    """Whether somebody watches who can see a line change."""
    return sys.stdout.isatty() and not out.is_dumb_terminal


def somebody_there() -> bool:
    """Whether somebody is there who can be asked."""
    return err.is_terminal and sys.stdin.isatty()


def when(moment: datetime | None) -> str:
    """A time as the clock on the wall shows it; empty if there is none."""
    if moment is None:
        return ""
    here = moment.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return here.strftime("today %H:%M" if today and interactive() else "%Y-%m-%d %H:%M")


def counted(count: int, what: str) -> str:
    """How many there are of something whose plural ends with an s: `1 job`, `3 jobs`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def size(count: float) -> str:
    """Bytes as a person reads them: `3.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _plain(reply: Any) -> Any:
    if isinstance(reply, Reply):
        return reply.document()
    if isinstance(reply, dict):
        return {key: _plain(value) for key, value in reply.items()}
    if isinstance(reply, list | tuple):
        return [_plain(item) for item in reply]
    return reply
