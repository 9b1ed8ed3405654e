"""`myspinbot events verify`: whether the log is what was told, and whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.events.session import LogSession, NatsOption, SeedOption
from myspinbot.commands.options import HomeOption, JsonOption, examples, home_of, run
from myspinbot.errors import FAILED, MISUSED, CommandError
from myspinbot.screen import counted, document, hint, out, plain

if TYPE_CHECKING:
    from contracts.checkpoints import LogCheckpoint
    from servicekit.objects import ObjectStore

    from myspinbot.embedded.home import Home
    from myspinbot.exchange.checking import Evidence, Report

_MOST_SHOWN = 50


@examples(
    "myspinbot events verify",
    "myspinbot events verify --artifacts",
    "myspinbot events verify --job last",
    "myspinbot events verify audit.jsonl.gz --trust UDXU…",
    "myspinbot events verify --checkpoints kept.json --trust UDXU… --json | jq .ok",
)
def verify(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="An export (default: the log itself).", show_default=False
        ),
    ] = None,
    *,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="JOB",
            help="Only this job. Checkpoints are about the whole log, and are left out then.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    artifacts: Annotated[
        bool,
        typer.Option(
            "--artifacts",
            help="Also ask the store for every object that must be there.",
            show_default=False,
        ),
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Public key that checkpoints must be signed by (default: the local system's). "
            "May be given several times.",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Checkpoints that were kept elsewhere: what `events checkpoint --list --json` "
            "printed then.",
            show_default=False,
        ),
    ] = None,
    nats: NatsOption = None,
    seed: SeedOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for whatever should not be: gaps, edits, forgeries, events out of place, lost objects.

    Every event is held against its hash chain, and the log as a whole against the signed
    checkpoints. The status is 1 if there is an error.
    """
    where = _Where(nats, seed, home_of(home))
    if file is not None and artifacts:
        raise CommandError(
            "The objects of a file are not in a store.", "Leave --artifacts out.", MISUSED
        )
    run(_verify(file, job, where, trust or [], checkpoints, artifacts=artifacts, as_json=as_json))


@dataclass(frozen=True, slots=True)
class _Where:
    """The installation that is meant."""

    nats: str | None
    seed: Path | None
    home: Home

    @contextlib.asynccontextmanager
    async def reached(self) -> AsyncIterator[LogSession]:
        """A connection to its broker."""
        from myspinbot.joblog import broker_of, opened

        async with opened(broker_of(self.nats, self.seed, self.home)) as broker:
            yield LogSession(broker, as_json=False, home=None if self.nats else self.home)


async def _verify(
    file: str | None,
    job: str | None,
    where: _Where,
    trust: list[str],
    kept: Path | None,
    *,
    artifacts: bool,
    as_json: bool,
) -> None:
    # Imported where it is used: other commands need no broker, and should start fast.
    from myspinbot.counting import counting
    from myspinbot.exchange.checking import check_file, check_job, check_log
    from myspinbot.exchange.reading import source

    if file is not None:
        evidence = _evidence(trust, kept, None)
        with source(file) as content:
            if not content.seekable():
                raise CommandError(
                    "What is to be verified cannot be read from a pipe.",
                    "Name the file itself.",
                    MISUSED,
                )
            with counting("Verifying") as told:
                report = check_file(content, job, evidence, told)
    else:
        async with where.reached() as session, _store(session, wanted=artifacts) as store:
            evidence = _evidence(trust, kept, session.home)
            with counting("Verifying") as told:
                report = (
                    await check_job(session.broker, await session.job(job), store, told)
                    if job is not None
                    else await check_log(session.broker, evidence, store, told)
                )
    if as_json:
        document(report.document())
    else:
        _tell(report)
    if report.errors:
        raise typer.Exit(FAILED)


@contextlib.asynccontextmanager
async def _store(session: LogSession, *, wanted: bool) -> AsyncIterator[ObjectStore | None]:
    if not wanted:
        yield None
        return
    from myspinbot.exchange.objects import reached

    async with reached(session.store(os.environ)) as store:
        yield store


def _evidence(trust: list[str], kept: Path | None, own: Home | None) -> Evidence:
    """Whom to trust: who was named, else the key of the local system's notary."""
    from eventlog.signatures import UnusableKeyError, key_bytes

    from myspinbot.exchange.checking import Evidence
    from myspinbot.exchange.notary import own_key

    for key in trust:
        try:
            key_bytes(key)
        except UnusableKeyError as error:
            raise CommandError(
                f"{error}.",
                "`myspinbot events checkpoint --public-key` prints the one that is meant.",
                MISUSED,
            ) from error
    trusted = tuple(trust) or ((own_key(own),) if own is not None else ())
    return Evidence(trusted, _kept(kept) if kept else ())


def _kept(path: Path) -> tuple[LogCheckpoint, ...]:
    from myspinbot.exchange.notary import read_kept

    return read_kept(path)


def _tell(report: Report) -> None:
    tally = report.tally
    shown = report.findings[:_MOST_SHOWN]
    for finding in shown:
        parts = [finding.severity.value]
        if finding.sequence is not None:
            parts.append(f"event {finding.sequence}")
        if finding.job is not None:
            parts.append(f"job {finding.job}")
        style = "red" if finding.severity == "error" else "yellow"
        out.print(f"{', '.join(parts)}: {finding.what}", style=style, markup=False)
    if (more := tally.errors + tally.notes - len(shown)) > 0:
        plain(f"… and {counted(more, 'finding')} more; --json has up to 1,000.")
    if shown:
        plain("What to do:")
        for remedy in dict.fromkeys(finding.remedy for finding in shown):
            plain(f"  · {remedy}")
        plain("")
    faults = counted(tally.errors, "error") if tally.errors else "no errors"
    read = f"{counted(tally.events, 'event')} of {counted(tally.jobs, 'job')}"
    style = "bold red" if tally.errors else "bold green"
    out.print(f"{read}: {faults}.", style=style, markup=False)
    if report.objects is not None:
        hint(f"{counted(report.objects, 'object')} looked for in the store.")
    if tally.late:
        hint(f"{counted(tally.late, 'event')} came too late to have an effect, as they may.")
    if tally.unchained:
        hint(f"{counted(tally.unchained, 'event')} of before there were hash chains.")
    if report.whole:
        _tell_checkpoints(report)


def _tell_checkpoints(report: Report) -> None:
    found = report.attested
    if found is None:
        if not report.checkpoints:
            hint("There is no signed checkpoint; `myspinbot events checkpoint` makes one.")
        return
    plain(
        f"The log up to event {found.last_sequence} is as it was when it was signed at "
        f"{found.time.astimezone():%Y-%m-%d %H:%M:%S} by {found.key_id}"
        f"{'' if found.trusted else ', a key that nobody said to trust'}."
    )
    if (newer := report.last - found.last_sequence) > 0:
        hint(f"{counted(newer, 'event')} since then are held by their chains only.")
