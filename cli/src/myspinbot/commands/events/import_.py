"""`myspinbot events import`: the jobs of a file into this installation's log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myspinbot.commands.events.session import NatsOption
from myspinbot.commands.options import CONNECTION, HomeOption, JsonOption, examples, home_of, run
from myspinbot.errors import FAILED, CommandError
from myspinbot.screen import counted, document, hint, plain, size, table

if TYPE_CHECKING:
    from eventlog.broker import Broker, BrokerAddress
    from servicekit.objects import StoreAddress

    from myspinbot.embedded.home import Home
    from myspinbot.exchange.importing import Imported
    from myspinbot.exchange.objects import Carried
    from myspinbot.exchange.plan import Plan

AdminSeedOption = Annotated[
    Path | None,
    typer.Option(
        help="File with the nkey seed of the broker's user `admin`.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=CONNECTION,
    ),
]


@examples(
    "myspinbot events import log.jsonl",
    "myspinbot events import job.json --artifacts job-objects",
    "myspinbot events import log.jsonl --home ~/elsewhere --dry-run",
)
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="What was exported; `-` is standard input.", show_default=False
        ),
    ],
    *,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Put the objects from this folder into the store where they are missing.",
            show_default=False,
        ),
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished",
            help="Also take jobs that have not ended: they go on here.",
            show_default=False,
        ),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Take what is whole of a file that was cut: the jobs that have ended in it.",
            show_default=False,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write nothing, only say what would be refused."),
    ] = False,
    nats: NatsOption = None,
    seed: AdminSeedOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the jobs of an export into the log: with their ids, times and hash chains.

    All of the file is checked before anything is written. Each job enters whole or not at all,
    doing it again changes nothing, and a job that has another history here stays as it is; then,
    and where a job is refused, the status is 1. A local system may run or not.
    """
    run(
        _import(
            file,
            _Where(nats, seed, home_of(home)),
            artifacts.expanduser() if artifacts else None,
            _Choices(unfinished=unfinished, partial=partial, dry_run=dry_run),
            as_json=as_json,
        )
    )


@dataclass(frozen=True, slots=True)
class _Choices:
    """What may be done."""

    unfinished: bool
    partial: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Where:
    """The installation that is meant."""

    nats: str | None
    seed: Path | None
    home: Home

    @contextlib.asynccontextmanager
    async def reached(
        self, environment: Mapping[str, str]
    ) -> AsyncIterator[tuple[BrokerAddress, StoreAddress | None]]:
        """Its broker and, if it is known, its object store; a local one is started if need be."""
        from eventlog.broker import BrokerAddress

        from myspinbot.backup.installation import of_home
        from myspinbot.exchange.objects import store_of

        if self.nats is not None:
            address = BrokerAddress(self.nats, "admin", self.seed)
            yield address, store_of(None, environment)
            return
        async with of_home(self.home) as local:
            yield local.broker, local.store


async def _import(
    file: str, where: _Where, artifacts: Path | None, choices: _Choices, *, as_json: bool
) -> None:
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.counting import counting
    from myspinbot.exchange.importing import carry_out, judge, wanted_objects
    from myspinbot.exchange.objects import must_be_known
    from myspinbot.exchange.plan import plan_of
    from myspinbot.exchange.reading import source
    from myspinbot.joblog import opened

    async with where.reached(os.environ) as (address, known), opened(address) as broker:
        store = must_be_known(known) if artifacts is not None else known
        with source(file) as content, plan_of(content, broker.client.max_payload) as plan:
            _read(plan, partial=choices.partial)
            outcome = judge(
                plan,
                unfinished=choices.unfinished,
                partial=choices.partial,
                planned_by_others=await _has_planner(broker),
            )
            carried = None
            if not choices.dry_run:
                if store is not None:
                    wanted = list(wanted_objects(plan, outcome))
                    carried = await _bring(store, artifacts, wanted)
                with counting("Importing jobs") as told:
                    await carry_out(broker, plan, outcome, told)
            _tell(plan, outcome, carried, choices, as_json=as_json)
    if outcome.refused:
        raise CommandError(
            f"{counted(len(outcome.refused), 'job')} refused; nothing of them was written.",
            "`myspinbot events verify FILE` says all that is wrong with the file.",
            FAILED,
        )


def _read(plan: Plan, *, partial: bool) -> None:
    """Read the whole file; CommandError if it cannot be trusted as a whole."""
    from myspinbot.exchange.reading import BadEntryError

    try:
        plan.read()
    except BadEntryError as error:
        raise CommandError(
            f"Entry {error.number} of the file cannot be taken: {error.why}.",
            "Nothing was written. Export the file anew, with `myspinbot events export`.",
        ) from error
    intake = plan.intake
    if intake.closing is not None and not intake.closing.selection.whole_jobs:
        raise CommandError(
            "The file holds only some of the events of its jobs.",
            "Export whole jobs: without --type, and with --since and --until left out or as "
            "positions.",
        )
    if (fault := intake.fault) is None or (partial and intake.cut):
        return
    raise CommandError(
        f"The file is not whole: {fault}.",
        "Export it anew; --partial takes those of its jobs that have ended in it."
        if intake.cut
        else "Nothing was written. Export it anew.",
    )


async def _has_planner(broker: Broker) -> bool:
    """Whether a planner lives that would go on with a job."""
    from eventlog.board import Board

    from contracts import subjects

    board = Board(broker, subjects.RUNNERS, subjects.ALL_PLANNERS)
    return any([True async for _ in board.all()])


async def _bring(store: StoreAddress, artifacts: Path | None, wanted: list[Any]) -> Carried:
    from myspinbot.counting import counting
    from myspinbot.exchange.objects import Folder, bring, reached

    async with reached(store) as objects:
        with counting("Bringing objects", len(wanted)) as told:
            return await bring(objects, Folder(artifacts) if artifacts else None, wanted, told)


def _tell(
    plan: Plan, outcome: Imported, carried: Carried | None, choices: _Choices, *, as_json: bool
) -> None:
    if as_json:
        told = outcome.document()
        if carried is not None:
            told["objects"] = carried.document()
        document(told | {"dryRun": choices.dry_run})
        return
    if outcome.refused or outcome.unfinished:
        rows = [(job, "refused", why) for job, why in outcome.refused.items()]
        rows += [
            (job, "left out", "it has not ended: --unfinished takes it, and it goes on here")
            for job in outcome.unfinished
        ]
        table(("JOB", "OUTCOME", "WHY"), rows)
    left = len(plan.jobs) - len(outcome.refused) - len(outcome.unfinished)
    if choices.dry_run:
        plain(f"{counted(left, 'job')} of {len(plan.jobs)} would be taken. Nothing was written.")
        return
    plain(_summary(outcome))
    if carried is not None:
        _tell_objects(carried)


def _summary(outcome: Imported) -> str:
    parts = []
    if outcome.jobs:
        events = counted(outcome.new_events, "event")
        parts.append(f"Imported {counted(outcome.jobs, 'job')} with {events}.")
    if outcome.there or outcome.known_events:
        jobs, events = counted(outcome.there, "job"), counted(outcome.known_events, "event")
        parts.append(f"There already: {jobs} in whole, {events} in all.")
    return " ".join(parts) or "Nothing was imported."


def _tell_objects(carried: Carried) -> None:
    if carried.moved:
        hint(f"{counted(carried.moved, 'object')} put into the store, {size(carried.moved_bytes)}.")
    if carried.missing:
        hint(
            f"{counted(carried.missing, 'object')} that these jobs speak of are missing here; "
            "export with --artifacts brings them along."
        )
    if carried.refused:
        hint(f"{counted(carried.refused, 'object')} of another size here stayed as they are.")
