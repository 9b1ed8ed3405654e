"""`myspinbot up`: run the whole system on this machine until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Annotated, Any

import typer

from myspinbot.commands.options import HomeOption, home_of, run
from myspinbot.embedded.home import Home
from myspinbot.embedded.stack import Stack, run_stack
from myspinbot.screen import err, plain


def up(
    port: Annotated[int | None, typer.Option(help="Port of API and page.")] = None,
    home: HomeOption = None,
) -> None:
    """Start the whole system and leave it running until Ctrl-C.

    Ends with status 3 if the data folder is in use by another one.
    """
    run(_up(home_of(home), port))


async def _up(home: Home, port: int | None) -> None:
    begun = time.monotonic()

    def on_start(stack: Stack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _stopping, stack)
        err.print(f"Starting on {home.root} …", style="dim")

    def on_ready(stack: Stack) -> None:
        err.print(f"Ready after {time.monotonic() - begun:.1f} s. Ctrl-C stops it.", style="dim")
        plain(stack.note.api)

    def tell(event: str, **fields: Any) -> None:
        if event == "process.died":
            err.print(
                f"The {fields['program']} died ({fields['how']}) and starts again in "
                f"{fields['again_in_s']} s. Its log: {home.logs / fields['program']}.log",
                style="yellow",
                markup=False,
            )
        elif event == "process.ready" and fields["earlier_deaths"]:
            err.print(f"The {fields['program']} works again.", style="yellow")

    await run_stack(home, port, on_start, on_ready, tell=tell)


def _stopping(stack: Stack) -> None:
    err.print("Stopping …", style="dim")
    stack.stop()
