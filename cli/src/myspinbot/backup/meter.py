"""Shows how a copy goes: a bar where somebody watches, else a line at each quarter.

It speaks on standard error, so that standard output holds the result alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from myspinbot.screen import err, hint, size

_LEAST_TOLD = 64 << 20


@dataclass(slots=True)
class Work:
    """One thing that is copied; `total` in bytes."""

    title: str
    total: int
    done: int = 0
    bar: Progress | None = None

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        before, self.done = self.done, self.done + count
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=min(self.done, self.total))
        elif self.total >= _LEAST_TOLD and _quarter(before, self) != _quarter(self.done, self):
            hint(f"{self.title}: {self.done / self.total:.0%} of {size(self.total)}")


@contextlib.contextmanager
def work(title: str, total: int, note: str = "", done: int = 0) -> Iterator[Work]:
    """A thing that is copied for as long as the context lasts; `done` of it was before."""
    told = f"{title}: {note or size(total)}"
    if not err.is_terminal or err.is_dumb_terminal:
        hint(f"{told} …")
        yield Work(title, total, done)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    with bar:
        bar.add_task(title, total=max(total, 1), completed=done)
        yield Work(title, total, done, bar)
    err.print(f"[green]✓[/green] {told}")


def _quarter(done: int, of: Work) -> int:
    return 4 * done // of.total
