"""`myspinbot usage` and `audit`: what jobs took and made, and who did what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated

import typer

from myspinbot.client.replies import AuditEntry, UsageDay
from myspinbot.commands.dlq import EveryoneOption
from myspinbot.commands.options import Session, connected, examples
from myspinbot.progress import duration
from myspinbot.screen import hint, size, table, when


@examples("myspinbot usage", "myspinbot usage --since 2026-11-01 --until 2026-11-30 --json")
@connected
async def usage(
    session: Session,
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The first day, in UTC (default: 29 days before the last).",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The last day (default: today).",
            show_default=False,
        ),
    ] = None,
    everyone: EveryoneOption = False,
) -> None:
    """Show what jobs took and made, day by day."""
    found = await session.client.oversight.usage(_day(since), _day(until), everyone=everyone)

    def text() -> None:
        headings = ("day", "owner", "jobs", "attempts", "time on devices", "made")
        table(headings, map(_usage_cells, found.days))
        if not found.days:
            hint(f"Nothing was used from {found.since} to {found.until}.")

    session.show(found, text)


@examples("myspinbot audit", "myspinbot audit --job 01k9z3… --json")
@connected
async def audit(
    session: Session,
    *,
    job: Annotated[
        str | None, typer.Option(help="Only what was done to this job.", show_default=False)
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Only what this person did.", show_default=False)
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            help="Only this: requested, consented, cancelled, retried, deleted, erased or "
            "letter_dropped.",
            show_default=False,
        ),
    ] = None,
    everyone: EveryoneOption = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(help="Only what stands before this sequence.", show_default=False),
    ] = None,
) -> None:
    """Show who did what, newest first."""
    page = await session.client.oversight.audit(
        job=await session.job(job) if job else None,
        by=by,
        action=action,
        everyone=everyone,
        limit=limit,
        before=before,
    )

    def text() -> None:
        table(("sequence", "when", "who", "what", "job"), map(_audit_cells, page.entries))
        if not page.entries:
            hint("Nothing was done.")
        if page.next:
            hint(f"More: myspinbot audit --before {page.next}")

    session.show(page, text)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _usage_cells(day: UsageDay) -> tuple[str, ...]:
    return (
        day.day.isoformat(),
        day.owner,
        str(day.jobs),
        str(day.attempts),
        ", ".join(_times(day.device_s.items())),
        size(day.made_bytes),
    )


def _times(spent: Iterable[tuple[str, float]]) -> Iterable[str]:
    return (f"{device} {duration(seconds)}" for device, seconds in spent)


def _audit_cells(entry: AuditEntry) -> tuple[str, ...]:
    return str(entry.sequence), when(entry.time), entry.by, entry.action, entry.job_id
