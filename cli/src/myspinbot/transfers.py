"""Bytes on their way, as a bar where somebody watches; elsewhere they go in silence."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from myspinbot.screen import err

_WORTH_SHOWING = 4_000_000


@contextlib.contextmanager
def transfer_view(
    what: str, files: Sequence[Path] = (), total: int = 0
) -> Iterator[Callable[[int], None]]:
    """A function to be told how many more bytes are done, of the files or of `total` bytes."""
    total = total or sum(file.stat().st_size for file in files)
    if not err.is_terminal or total < _WORTH_SHOWING:
        yield lambda _count: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
