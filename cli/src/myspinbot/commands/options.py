"""Options that several commands share, and what they mean."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from myspinbot.embedded.home import Home, StackNote
from myspinbot.errors import CommandError

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Data folder of the local system (default: $MYSPINBOT_HOME, else the user's).",
        show_default=False,
    ),
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api",
        envvar="MYSPINBOT_API",
        help="Address of the system to use (default: the one on this machine).",
        show_default=False,
    ),
]
JobArgument = Annotated[str, typer.Argument(help="The job's id.", show_default=False)]


class NotRunningError(CommandError):
    """There is no local system to talk to."""


def home_of(option: Path | None) -> Home:
    """The home folder that is meant."""
    return Home(option.expanduser().absolute()) if option else Home.default(os.environ)


def api_of(api: str | None, home: Path | None) -> str:
    """The address that is meant; NotRunningError if it is a local system and none runs."""
    return api or running(home_of(home)).api


def running(home: Home) -> StackNote:
    """The stack that runs on a home folder; NotRunningError if there is none yet."""
    note = home.running()
    if note is None:
        raise NotRunningError(
            f"No system runs on {home.root}.",
            "Start it with `myspinbot up`, or name the address of another one with --api.",
        )
    if not note.ready:
        raise NotRunningError(
            f"The system on {home.root} is not ready yet.", "Try again in a few seconds."
        )
    return note


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work; Ctrl-C and SIGTERM end it in order, with the usual status."""
    try:
        asyncio.run(_terminable(work))
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None


async def _terminable(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
