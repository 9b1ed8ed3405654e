"""How commands talk to a person: results on standard output, all else on standard error."""

from __future__ import annotations

import sys

from rich.console import Console

from myspinbot.errors import CommandError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show_error(error: CommandError) -> None:
    """Why it failed and what to do next."""
    err.print(error.cause, style="bold red", markup=False)
    err.print(error.remedy, markup=False)


def plain(line: str) -> None:
    """A line that scripts may read: never wrapped, coloured or interpreted."""
    print(line, flush=True)  # noqa: T201


def interactive() -> bool:
    """Whether somebody watches who can see a line change."""
    return sys.stdout.isatty() and not out.is_dumb_terminal
