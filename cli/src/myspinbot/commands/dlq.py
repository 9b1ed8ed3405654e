"""`myspinbot dlq`: attempts that took every runner with them, and what to do about them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from myspinbot.client.replies import DeadLetter
from myspinbot.commands.options import Session, add, connected, examples, group
from myspinbot.commands.steer import YesOption, confirm
from myspinbot.errors import MISUSED, NOT_FOUND, CommandError
from myspinbot.progress import TITLES
from myspinbot.screen import hint, out, plain, table, when

app = group("Dead letters: attempts that took every runner with them, so that nobody tries again.")

Status = Literal["open", "retried", "dropped", "all"]
LetterArgument = Annotated[
    str,
    typer.Argument(
        metavar="LETTER",
        help="The letter as `list` shows it, JOB/STAGE/ATTEMPT; or a job with one open letter.",
        show_default=False,
    ),
]
EveryoneOption = Annotated[
    bool,
    typer.Option("--everyone", help="Those of all owners; for administrators.", show_default=False),
]


@examples("myspinbot dlq list", "myspinbot dlq list --status all --json")
@connected
async def list_letters(
    session: Session,
    status: Annotated[Status, typer.Option(help="Which ones to show.")] = "open",
    everyone: EveryoneOption = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(help="Only those older than this one: the next page.", show_default=False),
    ] = None,
) -> None:
    """List dead letters, newest first."""
    page = await session.client.dead_letters.list(
        status=None if status == "all" else status, everyone=everyone, limit=limit, before=before
    )

    def text() -> None:
        headings = ("letter", "job", "stage", "status", "last on", "failed")
        table(headings, map(_cells, page.letters))
        if not page.letters:
            hint("There are none." if status == "all" else f"There are none that are {status}.")
        if page.next:
            hint(f"More: myspinbot dlq list --status {status} --before {page.next}")

    session.show(page, text)


@examples("myspinbot dlq show 01k9z3…/train_lora/1", "myspinbot dlq show last")
@connected
async def show(session: Session, letter: LetterArgument, everyone: EveryoneOption = False) -> None:
    """Show what is known of a letter: its failure, who took it, and the last that it wrote."""
    job, stage, attempt = await _meant(session, letter, everyone=everyone)
    found = await session.client.dead_letters.get(job, stage, attempt, everyone=everyone)
    session.show(found, lambda: _tell(found))


@examples("myspinbot dlq retry 01k9z3…/train_lora/1")
@connected
async def retry(session: Session, letter: LetterArgument, everyone: EveryoneOption = False) -> None:
    """Try the letter's job again from where it failed."""
    job, stage, attempt = await _meant(session, letter, everyone=everyone)
    done = await session.client.dead_letters.retry(job, stage, attempt, everyone=everyone)
    session.show(done, lambda: hint(f"Tried again: `myspinbot watch {job}` follows the job."))


@examples("myspinbot dlq drop 01k9z3…/train_lora/1 --yes")
@connected
async def drop(
    session: Session,
    letter: LetterArgument,
    everyone: EveryoneOption = False,
    yes: YesOption = False,
) -> None:
    """Let a letter rest: it is not listed as open any more, and its job stays failed."""
    job, stage, attempt = await _meant(session, letter, everyone=everyone)
    confirm(f"Let {job}/{stage}/{attempt} rest?", yes=yes)
    done = await session.client.dead_letters.drop(job, stage, attempt, everyone=everyone)
    session.show(done, lambda: hint(f"Dropped: {done.reference}."))


async def _meant(session: Session, given: str, *, everyone: bool) -> tuple[str, str, int]:
    """Job, stage and attempt of the letter that is meant; CommandError if it is none."""
    job, *rest = given.split("/")
    if len(rest) == 2 and rest[1].isdecimal():
        return await session.job(job), rest[0], int(rest[1])
    if rest:
        raise CommandError(
            f"{given!r} is no letter.", "Write JOB/STAGE/ATTEMPT, as `dlq list` does.", MISUSED
        )
    job = await session.job(job)
    letters = session.client.dead_letters.every(status="open", everyone=everyone)
    found = [letter async for letter in letters if letter.job_id == job]
    if len(found) == 1:
        return job, found[0].stage, found[0].attempt
    if not found:
        raise CommandError(
            f"The job {job} has no open dead letter.",
            "`myspinbot dlq list --status all` shows those that were settled.",
            NOT_FOUND,
        )
    raise CommandError(
        f"The job {job} has {len(found)} open letters: "
        + ", ".join(letter.reference for letter in found),
        "Name one of them.",
        MISUSED,
    )


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    return (
        letter.reference,
        letter.name or "",
        TITLES.get(letter.kind, letter.kind),
        letter.status,
        letter.runner or "",
        when(letter.failed_at),
    )


def _tell(letter: DeadLetter) -> None:
    out.print(letter.cause, style="bold red", markup=False)
    out.print(letter.remedy, markup=False)
    settled = f" by {letter.settled_by}, {when(letter.settled_at)}" if letter.settled_by else ""
    plain(f"{letter.reference}  {letter.status}{settled}; the job is {letter.job_status}")
    taken = (
        (str(one.delivery), one.runner, one.device, when(one.at), _resumed(one.resumed_from_step))
        for one in letter.deliveries
    )
    table(("try", "runner", "device", "began", "went on from"), taken)
    for line in letter.lines:
        values = "  ".join(f"{name} {value:.4g}" for name, value in line.values.items())
        plain(f"{line.at:%H:%M:%S}  {line.message}  {values}".rstrip())
    if letter.status == "open":
        hint(f"`myspinbot dlq retry {letter.reference}` tries again, `dlq drop` lets it rest.")


def _resumed(step: int | None) -> str:
    return "the beginning" if step is None else f"step {step}"


add(app, "list", list_letters)
add(app, "show", show)
add(app, "retry", retry)
add(app, "drop", drop)
