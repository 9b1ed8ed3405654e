"""`myspinbot events tail`: the job log itself, read from the broker as it grows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from contracts.envelope import Recorded, to_structured
from eventlog.broker import BrokerAddress, connect
from eventlog.log import EventLog
from eventlog.reader import read_log

from myspinbot.client import AsyncClient
from myspinbot.client.target import find_target, running
from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.options import (
    LATEST,
    HomeOption,
    Session,
    add,
    examples,
    group,
    home_of,
    run,
)
from myspinbot.embedded.broker import seed_files
from myspinbot.embedded.home import Home
from myspinbot.screen import out, plain
from myspinbot.story import sentence

app = group("Read the append-only log of job events.")


@app.callback()
def _events() -> None:
    """Read the append-only log of job events."""


@examples(
    "myspinbot events tail",
    "myspinbot events tail 01k9z3… --no-follow --json | jq -r .type",
)
def tail(
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB]",
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
    local = home_of(home)
    if nats is None:
        nats = running(local).nats
        seed = seed or seed_files(local)["observer"]
    address = BrokerAddress(nats, "observer", seed)
    run(_tail(address, job, since, follow=follow, as_json=as_json, home=local))


async def _tail(
    address: BrokerAddress,
    job: str | None,
    since: int,
    *,
    follow: bool,
    as_json: bool,
    home: Home,
) -> None:
    if job == LATEST:
        async with AsyncClient(find_target(home=home)) as client:
            job = await Session(client, as_json).job(job)
    broker = await connect(address)
    try:
        end = (await EventLog(broker, "cli").position()).last_sequence
        if not follow and since >= end:
            return
        async for batch in read_log(broker, since):
            for recorded in batch:
                if job in (None, recorded.job):
                    _show(recorded, as_json=as_json)
            if not follow and batch[-1].sequence >= end:
                return
    finally:
        await broker.close()


def _show(recorded: Recorded, *, as_json: bool) -> None:
    if as_json:
        plain(json.dumps(to_structured(recorded), ensure_ascii=False))
    elif sys.stdout.isatty():
        out.print(_line(recorded), markup=False, style=_style(recorded))
    else:
        plain(_line(recorded))


def _line(recorded: Recorded) -> str:
    time = recorded.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{recorded.sequence:>6}  {time}  {recorded.job}  {sentence(recorded.event)}"


def _style(recorded: Recorded) -> str:
    if recorded.type in ("StageFailed", "JobFailed"):
        return "red"
    if recorded.type in ("StageCompleted", "JobCompleted"):
        return "green"
    return "" if recorded.type.startswith("Stage") else "bold"


add(app, "tail", tail)
