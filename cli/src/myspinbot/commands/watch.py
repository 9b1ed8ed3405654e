"""`myspinbot watch`: follow a job to its end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from contracts.job import JobStatus

from myspinbot.client import AsyncClient
from myspinbot.client.errors import ClientError
from myspinbot.client.replies import JobUpdate
from myspinbot.commands.options import LATEST, NewestJobArgument, Session, connected, examples
from myspinbot.errors import CommandError
from myspinbot.photos import named
from myspinbot.progress import progress_view
from myspinbot.screen import hint, json_line


class JobFailedError(CommandError):
    """The job did not end well."""


@examples(
    "myspinbot watch",
    "myspinbot watch 01k9z3… --json | jq .progress",
)
@connected
async def watch(session: Session, job: NewestJobArgument = LATEST) -> None:
    """Follow a job to its end. Leaving with Ctrl-C does not disturb it.

    Goes on by itself when the connection breaks or the system starts again. Ends with status 1
    if the job fails or is cancelled. --json tells each update on a line of its own.
    """
    await follow(session.client, await session.job(job), as_json=session.as_json)


async def follow(client: AsyncClient, job: str, *, as_json: bool = False) -> None:
    """Show a job's progress until it has ended; JobFailedError if it did not end well."""
    last: JobUpdate | None = None
    # Closed at once when the command is interrupted, so that the gateway need not wait.
    try:
        async with aclosing(client.jobs.watch(job)) as updates:
            if as_json:
                async for last in updates:
                    json_line(last)
            else:
                with progress_view() as view:
                    async for last in updates:
                        view.show(last)
    except asyncio.CancelledError:
        if not as_json:
            hint(f"\nThe job goes on: `myspinbot watch {job}`")
        raise
    if last is None or last.status is JobStatus.COMPLETED:
        if not as_json:
            hint(f"`myspinbot download {job}` fetches what it made.")
        return
    if last.failure is None:
        raise JobFailedError(
            f"The job {job} was {last.status}.",
            f"`myspinbot retry {job}` goes on from where it ended.",
        )
    where = f" in the stage {last.failure.stage}" if last.failure.stage else ""
    cause = last.failure.cause
    with suppress(ClientError):  # without, photos have numbers only
        cause = named(cause, (await client.jobs.get(job)).inputs)
    raise JobFailedError(f"The job {job} failed{where}: {cause}", last.failure.remedy)
