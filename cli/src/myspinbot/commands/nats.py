"""`myspinbot nats`: what any NATS client needs to watch the system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myspinbot.client.target import running
from myspinbot.commands.options import (
    HomeOption,
    JsonOption,
    add,
    examples,
    group,
    home_of,
)
from myspinbot.natscontext import DEFAULT, context_file, copy_seed, write_context
from myspinbot.screen import document, hint, plain

app = group("Watch the system with any NATS client.")


@app.callback()
def _nats() -> None:
    """Watch the system with any NATS client."""


@examples(
    "myspinbot nats creds --read-only",
    "myspinbot nats creds --read-only --out ~/observer.nk --context work",
)
def creds(
    *,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", help="To watch and not to change anything: there is no other kind."
        ),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Copy the nkey seed here (default: it stays where the system keeps it).",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the context of the `nats` command.")
    ] = DEFAULT,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a context for the `nats` command, and say what other NATS clients need.

    Whoever has the seed may hear all that happens, and change none of it.
    """
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.embedded.broker import seed_files
    from myspinbot.joblog import OBSERVER

    place = home_of(home)
    url = running(place).nats
    path = context_file(context)
    seed = seed_files(place)[OBSERVER]
    if out is not None:
        copy_seed(seed, target := out.expanduser().absolute())
        seed = target
    write_context(path, url, OBSERVER, seed)
    if as_json:
        document(
            {
                "url": url,
                "seed": str(seed),
                "inboxPrefix": f"_INBOX_{OBSERVER}",
                "context": context,
                "contextFile": str(path),
                "readOnly": read_only,
            }
        )
        return
    plain(f"address:   {url}")
    plain(f"nkey seed: {seed}")
    plain(f"inboxes:   _INBOX_{OBSERVER} (the prefix that clients must use)")
    plain(f"context:   {path}")
    hint("")
    for command, told in _TRY:
        hint(f"  nats --context {context} {command:<38} {told}")
    hint("\ndocs/events.md has more, and what to write in other languages.")


_TRY = (
    ("sub 'jobs.>'", "everything that happens, as it happens"),
    ("sub 'progress.>'", "how far each stage is"),
    ("consumer report CMD", "the queue"),
    ("stream info DLQ", "dead letters"),
)


@examples("myspinbot nats url", 'nats --server "$(myspinbot nats url)" --help')
def url(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Print the address of the local system's broker."""
    address = running(home_of(home)).nats
    if as_json:
        document({"url": address})
    else:
        plain(address)


add(app, "creds", creds)
add(app, "url", url)
