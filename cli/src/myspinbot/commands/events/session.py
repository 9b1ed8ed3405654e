"""What commands share that read the job log from the broker: options, and how jobs are found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer
from contracts.envelope import Stored

from contracts import subjects
from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.options import (
    CONNECTION,
    LATEST,
    HomeOption,
    JsonOption,
    home_of,
    option,
    the_one,
    with_options,
)
from myspinbot.errors import NOT_FOUND, CommandError
from myspinbot.story.history import Entry, history

if TYPE_CHECKING:
    from eventlog.broker import Broker
    from eventlog.log import EventLog
    from servicekit.objects import StoreAddress

    from myspinbot.embedded.home import Home

NatsOption = Annotated[
    str | None,
    typer.Option(
        help="Broker's address (default: the local system's).",
        metavar="URL",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
SeedOption = Annotated[
    Path | None,
    typer.Option(
        help="File with the nkey seed of a user who may read the log.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]
LoggedJob = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help=f"The job's id or its beginning, or `{LATEST}` for the newest.",
        show_default=False,
        autocompletion=complete_jobs,
    ),
]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class LogSession:
    """A connection to the broker as somebody who may read the log."""

    broker: Broker
    as_json: bool
    home: Home | None = None
    """Of the local system, if it is that one."""

    def store(self, environment: Mapping[str, str]) -> StoreAddress:
        """Where the objects are that the log speaks of; CommandError if that is not known."""
        from myspinbot.exchange.objects import must_be_known, store_of

        return must_be_known(store_of(self.home, environment))

    @property
    def log(self) -> EventLog:
        """The log, to be read."""
        # Imported where it is used: other commands need no broker, and should start fast.
        from eventlog.log import EventLog

        return EventLog(self.broker, "cli")

    async def job(self, given: str) -> str:
        """The id of the job that is meant; CommandError if it is none, or could be several."""
        if given == LATEST:
            newest = await self.log.last(subjects.event("*", "JobRequested"))
            if newest is None:
                raise CommandError(
                    "There are no jobs in the log.",
                    "Make one with `myspinbot submit`, or see one with `myspinbot demo`.",
                    NOT_FOUND,
                )
            return newest.job
        if not _is_token(given) or await self.log.last(subjects.job_events(given)):
            return given
        from eventlog.index import job_ids

        return the_one(given, await job_ids(self.broker)) or given

    async def stored(self, given: str) -> list[Stored]:
        """All events of the job that is meant, as written; CommandError if there are none."""
        job = await self.job(given)
        stored = [each async for each in self.log.read_stored(job)] if _is_token(job) else []
        if not stored:
            raise CommandError(
                f"The log has no job {job}.", "`myspinbot jobs` lists them.", NOT_FOUND
            )
        return stored

    async def history(self, given: str) -> tuple[Entry, ...]:
        """The same with the job's states around them."""
        stored = await self.stored(given)
        return history(stored[0].job, stored)


def _is_token(job: str) -> bool:
    """Whether it can stand in a subject: else the broker would take it for a pattern."""
    return job.replace("-", "").replace("_", "").isalnum() and job.isascii()


def reading(
    work: Callable[Concatenate[LogSession, P], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """The command that does `work` with the log: it has the options that name one, and --json."""

    async def begin(shared: dict[str, Any], values: dict[str, Any]) -> None:
        from myspinbot.joblog import broker_of, opened

        address = broker_of(shared["nats"], shared["seed"], home_of(shared["home"]))
        async with opened(address) as broker:
            home = home_of(shared["home"]) if shared["nats"] is None else None
            session = LogSession(broker, shared["as_json"], home)
            await work(session, **values)  # type: ignore[call-arg]

    added = (
        option("as_json", JsonOption, default=False),
        option("nats", NatsOption),
        option("seed", SeedOption),
        option("home", HomeOption),
    )
    return with_options(work, added, begin)
