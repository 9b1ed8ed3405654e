"""`myspinbot jobs`: the list of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from contracts.job import JobStatus

from myspinbot.client.replies import JobItem
from myspinbot.commands.completion import complete_jobs, complete_profiles
from myspinbot.commands.options import Session, connected, examples
from myspinbot.moments import moment
from myspinbot.screen import hint, table, when


@examples(
    "myspinbot jobs",
    "myspinbot jobs --status failed --since 7d",
    "myspinbot jobs --profile 01k9z3… --json | jq -r '.jobs[].jobId'",
)
@connected
async def jobs(
    session: Session,
    *,
    status: Annotated[
        list[JobStatus] | None,
        typer.Option(help="Only jobs that stand so. May be given several times."),
    ] = None,
    job_type: Annotated[
        str | None, typer.Option("--type", help="train, generate or pipeline.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Only jobs of this profile.", show_default=False, autocompletion=complete_profiles
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Made after this: a date, a time, or how long ago (30m, 12h, 7d, 2w).",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Made before this, said in the same way.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 20,
    before: Annotated[
        str | None,
        typer.Option(
            help="Only jobs older than this one: the next page.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
) -> None:
    """List the jobs, newest first."""
    now = datetime.now(UTC)
    page = await session.client.jobs.list(
        status=[each.value for each in status or ()],
        type=job_type,
        profile=profile,
        created_after=moment(since, now) if since else None,
        created_before=moment(until, now) if until else None,
        before=before,
        limit=limit,
    )
    session.show(page, lambda: _list(page.jobs, page.next))


def _list(items: tuple[JobItem, ...], following: str | None) -> None:
    headings = ("job", "type", "status", "done", "created", "name")
    table(headings, (_cells(item) for item in items))
    if not items:
        hint("No jobs. `myspinbot demo` runs one on the sample input.")
    if following:
        hint(f"There are more: myspinbot jobs --before {following}")


def _cells(item: JobItem) -> tuple[str, ...]:
    waits = item.queue_position is not None and item.status is JobStatus.QUEUED
    done = f"{item.queue_position}. in line" if waits else f"{item.progress:.0%}"
    return (
        item.job_id,
        item.type,
        item.status,
        done,
        when(item.created_at),
        item.name or "",
    )
