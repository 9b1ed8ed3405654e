"""`myspinbot events export`: the log, or a part of it, as a file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from myspinbot.commands.completion import complete_event_types, complete_jobs
from myspinbot.commands.events.selecting import event_type, position
from myspinbot.commands.events.session import LogSession, reading
from myspinbot.commands.options import examples
from myspinbot.exchange.formats import STANDARD, Format, format_of
from myspinbot.screen import counted, document, hint, plain, size


@examples(
    "myspinbot events export log.jsonl",
    "myspinbot events export audit.jsonl.gz --until 2026-11-01",
    "myspinbot events export job.json --job last --artifacts job-objects",
    "myspinbot events export failures.parquet --type StageFailed --type JobFailed",
    "myspinbot events export - --owner mira | jq -r .type | sort | uniq -c",
)
@reading
async def export(
    session: LogSession,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help=f"Where to; `{STANDARD}` is standard output.", show_default=False
        ),
    ],
    *,
    kind: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="jsonl: a CloudEvent a line; batch: a JSON array of them; parquet: a table. "
            "By default as the file's name ends.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        list[str] | None,
        typer.Option(
            "--job",
            metavar="JOB",
            help="Only this job's events. May be given several times.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only events of this type. May be given several times.",
            show_default=False,
            autocompletion=complete_event_types,
        ),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Only jobs of this owner.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Begin after this position in the log, or at a time: 2h ago, or 2026-11-22T10:00.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="End with this position, or at this time.", show_default=False
        ),
    ] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Bring the objects along that the events speak of: faces and voices.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write events into a file: for an auditor, an analysis, or another installation.

    The file appears when it is whole, and ends with a word that tells whether it still is. An
    export of the whole log carries the signed checkpoints along. No event holds anything
    personal; artifacts do.
    """
    # Imported where it is used: other commands need no broker, and should start fast.
    from contracts.exchange import Selection

    from myspinbot.exchange.exporting import Order, carry_out

    now = datetime.now(UTC)
    chosen, compressed = format_of(file, kind)
    first = position(since, now) if since else None
    last = position(until, now) if until else None
    selection = Selection(
        jobs=tuple([(await session.stored(job))[0].job for job in dict.fromkeys(jobs or ())]),
        types=tuple(dict.fromkeys(event_type(given) for given in types or ())),
        owner=owner,
        after=first if isinstance(first, int) else None,
        until=last if isinstance(last, int) else None,
        since_time=first if isinstance(first, datetime) else None,
        until_time=last if isinstance(last, datetime) else None,
    )
    order = Order(
        selection=selection,
        file=file,
        kind=chosen,
        compressed=compressed,
        folder=artifacts.expanduser() if artifacts else None,
        store=session.store(os.environ) if artifacts else None,
    )
    done = await carry_out(session.broker, order, now)
    if file == STANDARD:
        return
    if session.as_json:
        document(done.document())
        return
    plain(file)
    what = f"{counted(done.closing.events, 'event')} of {counted(done.jobs, 'job')}"
    hint(f"{what}, {size(Path(file).expanduser().stat().st_size)}.")
    if done.checkpoints:
        hint(f"It carries {counted(done.checkpoints, 'signed checkpoint')} along.")
    if done.carried is not None:
        carried = done.carried
        count = carried.moved + carried.there
        new = size(carried.moved_bytes)
        hint(f"{counted(count, 'object')} in {artifacts}, {new} of it new.")
        if carried.missing:
            hint(f"{counted(carried.missing, 'object')} not in the store any more.")
