"""`myspinbot events graph`: a job's graph as it stood at a moment, as a drawing for Mermaid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from contracts.job import JobState, StageState, StageStatus
from contracts.mermaid import mermaid

from myspinbot.commands.events.at import PLACE_HELP, warn
from myspinbot.commands.events.session import LoggedJob, LogSession, reading
from myspinbot.commands.options import LATEST, examples
from myspinbot.errors import NOT_FOUND, CommandError
from myspinbot.screen import document, plain
from myspinbot.story.places import place
from myspinbot.story.spans import span


@examples(
    "myspinbot events graph > job.mmd",
    "myspinbot events graph 01k9z3… --at '#12'",
)
@reading
async def graph(
    session: LogSession,
    job: LoggedJob = LATEST,
    *,
    at: Annotated[
        str | None, typer.Option(metavar="PLACE", help=PLACE_HELP, show_default=False)
    ] = None,
) -> None:
    """Draw a job's graph with how each stage stands, or stood: Mermaid, as GitHub shows it."""
    entries = await session.history(job)
    found = entries[-1]
    if at is not None:
        end = (await session.log.position()).last_sequence
        found = place(at, entries, end, datetime.now(UTC))
    warn(entries[: found.number])
    drawing = _drawn(found.after)
    if session.as_json:
        document({"jobId": found.after.job, "sequence": found.sequence, "mermaid": drawing})
    else:
        plain(drawing.rstrip())


def _drawn(state: JobState) -> str:
    if state.graph is None:
        raise CommandError(
            f"Job {state.job} had no graph then: it was {state.status}, and not planned.",
            "`myspinbot events show` tells when it was planned.",
            NOT_FOUND,
        )
    statuses = {stage.id: stage.status for stage in state.stages.values()}
    return mermaid(state.graph, statuses, {s.id: _note(s) for s in state.stages.values()})


def _note(stage: StageState) -> str:
    if stage.reused_from:
        return "taken over"
    parts = [f"attempt {stage.attempt}"] if stage.attempt > 1 else []
    if stage.status is StageStatus.COMPLETED and stage.started_at and stage.ended_at:
        parts.append(span((stage.ended_at - stage.started_at).total_seconds()))
    elif stage.status is StageStatus.RUNNING and stage.fraction:
        parts.append(f"{stage.fraction:.0%}")
    return ", ".join(parts)
