"""`myspinbot events`: the job log itself, one module for each of its commands."""

from __future__ import annotations

from myspinbot.commands.events.at import at
from myspinbot.commands.events.checkpoint import checkpoint
from myspinbot.commands.events.diff import diff
from myspinbot.commands.events.export import export
from myspinbot.commands.events.graph import graph
from myspinbot.commands.events.import_ import import_
from myspinbot.commands.events.show import show
from myspinbot.commands.events.stats import stats
from myspinbot.commands.events.tail import tail
from myspinbot.commands.events.verify import verify
from myspinbot.commands.options import add, group

app = group("Read the append-only log of job events.")


@app.callback()
def _events() -> None:
    """Read the append-only log of job events."""


add(app, "tail", tail)
add(app, "show", show)
add(app, "at", at)
add(app, "diff", diff)
add(app, "graph", graph)
add(app, "stats", stats)
add(app, "export", export)
add(app, "import", import_)
add(app, "verify", verify)
add(app, "checkpoint", checkpoint)
