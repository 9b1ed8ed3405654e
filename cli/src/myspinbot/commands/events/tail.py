"""`myspinbot events tail`: the job log itself, read from the broker as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myspinbot.client import AsyncClient
from myspinbot.client.target import find_target
from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.options import (
    LATEST,
    HomeOption,
    Session,
    examples,
    home_of,
    run,
)
from myspinbot.embedded.home import Home


@examples(
    "myspinbot events tail",
    "myspinbot events tail 01k9z3… --no-follow --json | jq -r .type",
)
def tail(
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="Only this job's events; `last` is the newest job.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on as the log grows.")
    ] = True,
    since: Annotated[
        int, typer.Option(min=0, help="Begin after this position in the log; 0 is its beginning.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Whole CloudEvents, one JSON object a line.")
    ] = False,
    nats: Annotated[
        str | None, typer.Option(help="Broker's address (default: the local system's).")
    ] = None,
    seed: Annotated[
        Path | None, typer.Option(help="File with the nkey seed of a user who may read the log.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the log as a story, one event a line, until Ctrl-C."""
    run(_tail(nats, seed, home_of(home), job, since=since, follow=follow, as_json=as_json))


async def _tail(
    nats: str | None,
    seed: Path | None,
    home: Home,
    job: str | None,
    *,
    since: int,
    follow: bool,
    as_json: bool,
) -> None:
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.tail import broker_of, tail_log

    address = broker_of(nats, seed, home)
    if job == LATEST:
        async with AsyncClient(find_target(home=home)) as client:
            job = await Session(client, as_json).job(job)
    await tail_log(address, job, since, follow=follow, as_json=as_json)
