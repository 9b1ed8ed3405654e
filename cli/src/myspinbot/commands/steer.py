"""`myspinbot cancel`, `retry`, `fork` and `delete`: what is done to a job that is there."""

from __future__ import annotations

from typing import Annotated

import typer

from myspinbot.commands.completion import complete_jobs, complete_stages
from myspinbot.commands.options import (
    JobArgument,
    Session,
    assignments,
    connected,
    examples,
)
from myspinbot.commands.submit import (
    EngineOption,
    KeyOption,
    ParamOption,
    QualityOption,
    ScriptOption,
    SeedOption,
    TopicOption,
    WatchOption,
    told,
)
from myspinbot.errors import MISUSED, CommandError
from myspinbot.inputs import parameters, read_script
from myspinbot.screen import hint, somebody_there

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", show_default=False)]


@examples("myspinbot cancel 01k9z3…", "myspinbot cancel last")
@connected
async def cancel(session: Session, job: JobArgument) -> None:
    """Stop a job. What it has made so far is kept."""
    status = await session.client.jobs.cancel(await session.job(job))
    session.show(status, lambda: hint(f"The job {status.job_id} is being stopped."))


@examples("myspinbot retry 01k9z3…", "myspinbot retry last --watch")
@connected
async def retry(session: Session, job: JobArgument, watch: WatchOption = False) -> None:
    """Try a failed or cancelled job again from where it ended.

    Stages that are completed are not done again, and a training goes on from its checkpoint.
    """
    status = await session.client.jobs.retry(await session.job(job))
    await told(session, status, watch=watch)


@examples(
    "myspinbot fork 01k9z3… --from synthesize_speech --script 'Something else.'",
    "myspinbot fork last --from render_video --param render_video.fps=30 --watch",
)
@connected
async def fork(
    session: Session,
    job: JobArgument,
    *,
    stage: Annotated[
        str,
        typer.Option(
            "--from",
            help="The first stage that is done anew; `show` lists them.",
            metavar="STAGE",
            autocompletion=complete_stages,
        ),
    ],
    script: ScriptOption = None,
    topic: TopicOption = None,
    prompt: Annotated[
        str | None, typer.Option(help="How the portrait should look.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the new job.", show_default=False)
    ] = None,
    quality: QualityOption = None,
    engine: EngineOption = None,
    param: ParamOption = None,
    seed: SeedOption = None,
    idempotency_key: KeyOption = None,
    watch: WatchOption = False,
) -> None:
    """Make a new job from a stage of an earlier one, with some things changed.

    What does not follow from the stage is taken over and not done again.
    """
    status = await session.client.jobs.fork(
        await session.job(job),
        stage,
        params=parameters(param or []),
        engines=assignments(engine or [], "--engine"),
        quality=quality,
        seed=seed,
        script=None if script is None else read_script(script),
        topic=topic,
        prompt=prompt,
        name=name,
        idempotency_key=idempotency_key,
    )
    await told(session, status, watch=watch)


@examples("myspinbot delete 01k9z3…", "myspinbot delete 01k9z3… 01k9z4… --yes")
@connected
async def delete(
    session: Session,
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB",
            help="Ids of jobs; `last` is the newest.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ],
    yes: YesOption = False,
) -> None:
    """Delete jobs that have ended, with their photos, voices and results. It cannot be undone."""
    jobs = [await session.job(each) for each in given]
    confirm(f"Delete {', '.join(jobs)} and everything that only they need?", yes=yes)
    for job in jobs:
        await session.client.jobs.delete(job)
    session.show({"deleted": jobs}, lambda: hint(f"Deleted: {', '.join(jobs)}."))


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if somebody says so; CommandError where nobody can be asked."""
    if yes:
        return
    if not somebody_there():
        raise CommandError(
            "This cannot be undone, and there is nobody to ask.", "Add --yes.", MISUSED
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
