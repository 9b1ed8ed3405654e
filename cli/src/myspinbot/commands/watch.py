"""`myspinbot watch`: follow a job to its end."""

from __future__ import annotations

from contextlib import aclosing

from contracts.job import JobStatus

from myspinbot.client import Client
from myspinbot.commands.options import ApiOption, HomeOption, JobArgument, api_of, run
from myspinbot.errors import CommandError
from myspinbot.progress import progress_view
from myspinbot.replies import JobUpdate


class JobFailedError(CommandError):
    """The job did not end well."""


def watch(job: JobArgument, api: ApiOption = None, home: HomeOption = None) -> None:
    """Follow a job to its end. Leaving with Ctrl-C does not disturb it.

    Ends with status 1 if the job fails or is cancelled.
    """
    run(_watch(api_of(api, home), job))


async def _watch(api: str, job: str) -> None:
    async with Client(api) as client:
        await follow(client, job)


async def follow(client: Client, job: str) -> None:
    """Show a job's progress until it has ended; JobFailedError if it did not end well."""
    last: JobUpdate | None = None
    with progress_view() as view:
        # Closed at once when the command is interrupted, so that the gateway need not wait.
        async with aclosing(client.watch(job)) as updates:
            async for update in updates:
                view.show(update)
                last = update
    if last is None or last.status is JobStatus.COMPLETED:
        return
    if last.failure is None:
        raise JobFailedError(f"The job {job} was {last.status}.", "Submit it again if you want it.")
    where = f" in the stage {last.failure.stage}" if last.failure.stage else ""
    raise JobFailedError(f"The job {job} failed{where}: {last.failure.cause}", last.failure.remedy)
