"""`myspinbot events`: the job log itself, one module for each of its commands."""

from __future__ import annotations

from myspinbot.commands.events.tail import tail
from myspinbot.commands.options import add, group

app = group("Read the append-only log of job events.")


@app.callback()
def _events() -> None:
    """Read the append-only log of job events."""


add(app, "tail", tail)
