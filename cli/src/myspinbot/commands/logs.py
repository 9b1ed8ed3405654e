"""`myspinbot logs`: what the attempts of a job said."""

from __future__ import annotations

from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import typer

from myspinbot.client.replies import LogLine
from myspinbot.commands.completion import complete_stages
from myspinbot.commands.options import LATEST, NewestJobArgument, Session, connected, examples
from myspinbot.screen import hint, interactive, json_line, out, plain


class Level(StrEnum):
    """How much a line must matter to be shown."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_RANK = {level.value: rank for rank, level in enumerate(Level)}
_STYLES = {"warning": "yellow", "error": "red"}


@examples(
    "myspinbot logs -f",
    "myspinbot logs 01k9z3… --stage train_lora --level warning",
    "myspinbot logs 01k9z3… --json | jq -r 'select(.values.loss) | [.step, .values.loss] | @tsv'",
)
@connected
async def logs(
    session: Session,
    job: NewestJobArgument = LATEST,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends.", show_default=False)
    ] = False,
    stage: Annotated[
        str | None,
        typer.Option(help="Only this stage.", show_default=False, autocompletion=complete_stages),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Only this attempt.", show_default=False)
    ] = None,
    level: Annotated[Level, typer.Option(help="Only what matters as much.")] = Level.INFO,
) -> None:
    """Show what the attempts of a job said, with measurements such as the loss.

    Lines are kept for some days. --json gives each line as an object on a line of its own.
    """
    wanted = session.client.jobs.lines(
        await session.job(job), stage=stage, attempt=attempt, follow=follow
    )
    told = 0
    async with aclosing(wanted) as lines:
        async for line in lines:
            if _RANK.get(line.level, 0) < _RANK[level]:
                continue
            told += 1
            if session.as_json:
                json_line(line)
            elif interactive():
                out.print(_text(line), style=_STYLES.get(line.level, ""), markup=False)
            else:
                plain(_text(line))
    if not told and not session.as_json:
        hint("No such lines. `myspinbot show` lists the stages and their attempts.")


def _text(line: LogLine) -> str:
    time = line.at.astimezone().strftime("%H:%M:%S")
    again = f"#{line.attempt}" if line.attempt > 1 else ""
    step = f"step {line.step}  " if line.step is not None else ""
    values = "  ".join(f"{name} {value:.4g}" for name, value in line.values.items())
    words = f"{step}{line.message}  {values}".rstrip()
    return f"{time}  {line.stage}{again}  {words}"
