"""`myspinbot events show`: a job's story, with the time between events and the reasons for them."""

from __future__ import annotations

from datetime import UTC, datetime

from myspinbot.commands.events.session import LoggedJob, LogSession, reading
from myspinbot.commands.options import LATEST, examples
from myspinbot.screen import document, out
from myspinbot.story.telling import story_document, story_text


@examples(
    "myspinbot events show",
    "myspinbot events show 01k9z3…",
    "myspinbot events show last --json | jq '.summary.spentS'",
)
@reading
async def show(session: LogSession, job: LoggedJob = LATEST) -> None:
    """Tell a job's story: who decided what, when, why, and what the time between was spent on."""
    entries = await session.history(job)
    now = datetime.now(UTC)
    if session.as_json:
        document(story_document(entries, now))
        return
    out.print(f"Job {entries[0].stored.job}", style="bold", markup=False)
    for line in story_text(entries, now, out.width):
        out.print(line)
