"""`myspinbot events tail`: the job log itself, read from the broker as it grows."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer

from myspinbot.commands.completion import complete_event_types, complete_jobs
from myspinbot.commands.events.selecting import event_type, position
from myspinbot.commands.events.session import LogSession, reading
from myspinbot.commands.options import examples
from myspinbot.errors import MISUSED, CommandError


@examples(
    "myspinbot events tail",
    "myspinbot events tail last --no-follow",
    "myspinbot events tail --type JobFailed --type StageFailed --since 2h",
    "myspinbot events tail --owner mira --since 2026-11-22T10:00Z --until 2026-11-22T12:00Z",
    "myspinbot events tail 01k9z3… --no-follow --json | jq -r .type",
)
@reading
async def tail(
    session: LogSession,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="Only this job's events; its beginning is enough, and `last` is the newest job.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    *,
    job_option: Annotated[
        str | None,
        typer.Option(
            "--job",
            metavar="JOB",
            help="The same, as an option.",
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
        str,
        typer.Option(
            metavar="WHEN",
            help="Begin after this position in the log, or at a time: 2h ago, or 2026-11-22T10:00.",
            show_default=False,
        ),
    ] = "0",
    until: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="End with this position, or at this time.", show_default=False
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on as the log grows.")
    ] = True,
) -> None:
    """Print the log as a story, one event a line, until Ctrl-C; as JSON, whole CloudEvents."""
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.tail import Printer, Tail, Wanted

    if job and job_option and job != job_option:
        raise CommandError("Two jobs are named.", "Name one.", MISUSED)
    named = job or job_option
    now = datetime.now(UTC)
    wanted = Wanted(
        job=(await session.stored(named))[0].job if named else None,
        types=tuple(dict.fromkeys(event_type(given) for given in types or ())),
        owner=owner,
        since=position(since, now),
        until=position(until, now) if until else None,
    )
    printer = Printer(session.as_json, wanted.job is not None)
    async with aclosing(Tail(session.broker, wanted).events(now, follow=follow)) as events:
        async for stored in events:
            printer.show(stored)
