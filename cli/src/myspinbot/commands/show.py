"""`myspinbot show`: everything of one job."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from contracts.job import StageStatus

from myspinbot.client.artifacts import file_names
from myspinbot.client.replies import Consent, JobDetail, StageDetail
from myspinbot.commands.options import LATEST, NewestJobArgument, Session, connected, examples
from myspinbot.photos import named
from myspinbot.progress import duration, title
from myspinbot.screen import err, hint, interactive, out, size, table, when


@examples(
    "myspinbot show",
    "myspinbot show 01k9z3… --json | jq .failure",
    "myspinbot show 01k9z3… --at 1804",
)
@connected
async def show(
    session: Session,
    job: NewestJobArgument = LATEST,
    at: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="As it was right after this position in the log; `events tail` lists them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a job: what it was asked, its stages and attempts, its failure, its results."""
    detail = await session.client.jobs.get(await session.job(job), at)
    session.show(detail, lambda: present(detail))


def present(job: JobDetail) -> None:
    """Show a job on the screen, with what failed on standard error."""
    for label, value in facts(job):
        told = f"{label + ':':<10} {value}"
        out.print(_wrapped(told) if interactive() else told, markup=False)
    if job.stages:
        out.print()
        headings = ("stage", "status", "done", "took", "engine", "on", "")
        table(headings, (_stage_cells(stage) for stage in job.stages))
    for line in (*sources(job), *attempts(job)):
        out.print(line, markup=False, style="dim")
    if job.artifacts:
        out.print()
        names = file_names(job.artifacts)
        rows = zip(names, job.artifacts, strict=True)
        table(("result", "size", "of"), ((n, size(a.size), a.stage) for n, a in rows))
        hint(f"`myspinbot download {job.job_id}` fetches them.")
    if job.failure is not None:
        where = f" in {job.failure.stage}" if job.failure.stage else ""
        cause = named(job.failure.cause, job.inputs)
        err.print(f"\nFailed{where}: {cause}", style="bold red", markup=False)
        err.print(job.failure.remedy, markup=False)


def facts(job: JobDetail) -> Iterator[tuple[str, str]]:
    """What is known of a job as a whole: labels and values, without what is not there."""
    left = f", about {duration(job.eta_s)} left" if job.eta_s else ""
    waits = f", {job.queue_position}. in line" if job.queue_position else ""
    yield "job", job.job_id
    yield "status", f"{job.status}, {job.progress:.0%} done{left}{waits}"
    given: tuple[tuple[str, Any], ...] = (
        ("type", job.type),
        ("name", job.name),
        ("script", job.script),
        ("topic", job.topic),
        ("prompt", job.prompt),
        ("profile", job.profile_id),
        ("consent", consented(job.consent)),
        ("quality", job.quality),
        ("seed", job.seed),
        ("engines", _pairs(job.engines)),
        ("params", _pairs({f"{k}.{n}": v for k, p in job.params.items() for n, v in p.items()})),
        (
            "from",
            f"{job.forked_from.job_id}, at {job.forked_from.stage}" if job.forked_from else "",
        ),
        ("inputs", _inputs(job)),
        ("created", when(job.created_at)),
        ("ended", when(job.ended_at)),
        ("trace", job.trace_url),
    )
    yield from ((label, str(value)) for label, value in given if value not in (None, ""))


def consented(consent: Consent | None) -> str:
    """Who agreed to what, in a line; empty if nobody was asked."""
    if consent is None:
        return ""
    grounds = {
        "self": "it is their own",
        "permission": "with their permission",
        "nobody": "no real person",
    }
    told = [
        consent.who or "erased",
        grounds.get(consent.basis or "", ""),
        f"{' and '.join(consent.covers)} for {consent.purpose or '?'}",
        when(consent.given_at),
    ]
    return "; ".join(part for part in told if part)


def sources(job: JobDetail) -> Iterator[str]:
    """The jobs whose results were taken over, and for which stages."""
    stages: dict[str, list[str]] = {}
    for stage in job.stages:
        if stage.reused_from:
            stages.setdefault(stage.reused_from, []).append(stage.id)
    if stages:
        yield ""
    for source, names in stages.items():
        yield f"taken over from {source}: {', '.join(names)}"


def attempts(job: JobDetail) -> Iterator[str]:
    """Every attempt of stages that needed more than one, and why each failed."""
    for stage in job.stages:
        if len(stage.attempts) < 2:
            continue
        yield ""
        for attempt in stage.attempts:
            resumed = attempt.resumed_from_step
            going_on = f", from step {resumed}" if resumed is not None else ""
            why = f": {attempt.failure.cause}" if attempt.failure else ""
            on = f" on {attempt.device}" if attempt.device else ""
            yield f"{stage.id}, attempt {attempt.attempt}: {attempt.outcome}{on}{going_on}{why}"


def _stage_cells(stage: StageDetail) -> tuple[str, ...]:
    again = f" ({stage.attempt})" if stage.attempt > 1 else ""
    if stage.reused_from:
        note = "taken over"
    elif stage.status is StageStatus.RUNNING:
        note = stage.message or ""
    else:
        note = f"{stage.queue_position}. in line" if stage.queue_position else ""
    return (
        stage.id if stage.id == stage.kind else f"{stage.id} ({title(stage)})",
        f"{stage.status}{again}",
        f"{stage.progress:.0%}",
        _took(stage),
        stage.engine or "",
        stage.device or "",
        note,
    )


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, out.width, subsequent_indent=" " * 11, break_on_hyphens=False, break_long_words=False
    )


def _took(stage: StageDetail) -> str:
    if stage.started_at is None or stage.ended_at is None:
        return ""
    return duration((stage.ended_at - stage.started_at).total_seconds())


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items()))


def _inputs(job: JobDetail) -> str:
    counts: dict[str, int] = {}
    for link in job.inputs:
        counts[link.input] = counts.get(link.input, 0) + 1
    return ", ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())
