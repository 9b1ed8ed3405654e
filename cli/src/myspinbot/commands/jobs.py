"""`myspinbot jobs` and `myspinbot cancel`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from myspinbot.client import Client
from myspinbot.commands.options import ApiOption, HomeOption, JobArgument, api_of, run
from myspinbot.replies import JobItem
from myspinbot.screen import err, interactive, out, plain


def jobs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 20,
    api: ApiOption = None,
    home: HomeOption = None,
) -> None:
    """List the jobs, newest first."""
    run(_jobs(api_of(api, home), limit))


async def _jobs(api: str, limit: int) -> None:
    async with Client(api) as client:
        page = await client.jobs(limit)
    if not interactive():
        for item in page.jobs:
            plain("\t".join(_cells(item)))
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("job", "type", "status", "done", "created", "name"):
        table.add_column(heading)
    for item in page.jobs:
        table.add_row(*_cells(item))
    out.print(table)
    if not page.jobs:
        err.print("No jobs yet. `myspinbot demo` runs one.", style="dim")


def _cells(item: JobItem) -> tuple[str, ...]:
    created = item.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return item.job_id, item.type, item.status, f"{item.progress:.0%}", created, item.name or ""


def cancel(job: JobArgument, api: ApiOption = None, home: HomeOption = None) -> None:
    """Stop a job. What it has made so far is kept."""
    run(_cancel(api_of(api, home), job))


async def _cancel(api: str, job: str) -> None:
    async with Client(api) as client:
        await client.cancel(job)
    err.print(f"The job {job} is being stopped.", markup=False)
