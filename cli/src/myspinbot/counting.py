"""Shows how far a count has come: a bar with the time that is left, where somebody watches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from myspinbot.screen import err


@contextlib.contextmanager
def counting(title: str, total: int | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """A function to be told how much is done, and of how much if that is known only now."""
    if not err.is_terminal or err.is_dumb_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(title, total=total)

        def told(done: int, whole: int | None = None) -> None:
            if whole is not None:
                progress.update(task, total=whole)
            progress.update(task, completed=done)

        yield told
