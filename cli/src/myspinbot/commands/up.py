"""`myspinbot up`: run the whole system on this machine until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myspinbot.commands.options import HomeOption, JsonOption, examples, home_of, run
from myspinbot.embedded.home import ADMIN_TOKEN, LOOPBACK, Facing, Home
from myspinbot.errors import MISUSED, CommandError
from myspinbot.screen import err, interactive, json_line, plain

if TYPE_CHECKING:
    from myspinbot.embedded.stack import Stack


class AccessChoice(StrEnum):
    """Who is let in."""

    LOCAL = "local"
    TOKEN = "token"  # noqa: S105 - the name of a mode


@examples(
    "myspinbot up",
    "myspinbot up --port 8080 --home ~/spinbot",
    "myspinbot up --host 0.0.0.0 --access token",
)
def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of API and page.", show_default=False)
    ] = None,
    *,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; others than the loopback need --access token."),
    ] = LOOPBACK,
    access: Annotated[
        AccessChoice,
        typer.Option(help="Who is let in: whoever is on this machine, or who has a token."),
    ] = AccessChoice.LOCAL,
    home: HomeOption = None,
    as_json: JsonOption = False,
    lines: Annotated[
        bool, typer.Option("--plain", help="Lines only, and no status that moves.")
    ] = False,
) -> None:
    """Start the whole system and leave it running until Ctrl-C; prints its address.

    Everything of it lives in one folder. Ends with status 3 if another system holds that folder.
    With `--access token`, `myspinbot tokens create` lets others in; commands on this machine
    find the owner's own token by themselves. --json tells address and folder on one line. In a
    terminal the services, the queue and the jobs at work are shown as they stand now.
    """
    facing = Facing(host, access.value)
    if access is AccessChoice.LOCAL and not _is_loopback(host):
        raise CommandError(
            f"Everybody who reaches {host} could see all faces and voices.",
            "Add --access token, or leave --host out.",
            MISUSED,
        )
    live = interactive() and err.is_terminal and not as_json and not lines
    run(_up(home_of(home), port, facing, as_json=as_json, live=live))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _up(home: Home, port: int | None, facing: Facing, *, as_json: bool, live: bool) -> None:
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.doctor.machine import space
    from myspinbot.embedded.stack import run_stack

    begun = time.monotonic()
    beside: list[asyncio.Task[None]] = []

    def on_start(stack: Stack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _stopping, stack)
        err.print(f"Starting on {home.root} …", style="dim")
        room = space(home.root)
        if room.remedy:
            err.print(f"{room.detail} {room.remedy}", style="yellow", markup=False)
        beside.append(asyncio.create_task(_tell_halts(stack)))

    def on_ready(stack: Stack) -> None:
        err.print(f"Ready after {time.monotonic() - begun:.1f} s. Ctrl-C stops it.", style="dim")
        if not _is_loopback(stack.note.facing.host):
            port = stack.note.ports["http"]
            err.print(f"Others reach it at this machine's address, port {port}.", style="dim")
        if stack.note.facing.access == "token":
            secret = home.keys / ADMIN_TOKEN
            err.print(f"The page asks for a token: yours is in {secret}", style="dim")
        if as_json:
            json_line({"api": stack.note.api, "home": str(home.root)})
        else:
            plain(stack.note.api)
        if live:
            beside.append(asyncio.create_task(_show(stack, home)))

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
        elif event == "broker.streams_newer":
            err.print(f"Of the log: {fields['detail']}.", style="yellow", markup=False)
        elif event == "checkpoint.failed":
            err.print(f"The log was not signed: {fields['detail']}.", style="yellow", markup=False)

    try:
        await run_stack(home, port, on_start, on_ready, facing=facing, tell=tell)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _tell_halts(stack: Stack) -> None:
    """Tell what only the user can mend, also while it keeps the stack from being ready."""
    from myspinbot.embedded.halts import halts
    from myspinbot.embedded.services import admin_ports

    async for service, what in halts(admin_ports(stack.note.ports)):
        err.print(f"The {service} goes no further: {what}.", style="yellow", markup=False)


async def _show(stack: Stack, home: Home) -> None:
    """The status of the stack where its lines end, for as long as it runs."""
    from rich.live import Live

    from myspinbot.client import AsyncClient
    from myspinbot.client.target import Target
    from myspinbot.dashboard import Dashboard
    from myspinbot.embedded.services import admin_ports
    from myspinbot.embedded.status import Watcher

    note = stack.note
    target = Target(note.api, home.admin_token())
    watcher = Watcher(
        lambda: stack.supervisor.states, admin_ports(note.ports), lambda: AsyncClient(target)
    )
    shown = Dashboard(note.api, note.ports)
    # Standard output has the address, for scripts; what moves goes where all else is told.
    with Live(shown, console=err, auto_refresh=False, transient=True) as live:
        async for status in watcher.looks():
            shown.show(status)
            live.refresh()


def _stopping(stack: Stack) -> None:
    err.print("Stopping …", style="dim")
    stack.stop()
