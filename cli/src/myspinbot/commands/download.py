"""`myspinbot download`: the results of a job as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myspinbot.client.replies import ArtifactLink
from myspinbot.commands.options import LATEST, NewestJobArgument, Session, connected, examples
from myspinbot.errors import MISUSED, NOT_FOUND, CommandError
from myspinbot.screen import plain
from myspinbot.transfers import transfer_view


@examples(
    "myspinbot download",
    "myspinbot download 01k9z3… --only video --only subtitles -o ~/Videos",
)
@connected
async def download(
    session: Session,
    job: NewestJobArgument = LATEST,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder (default: ./out/<job>).", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this result, such as video or lora. May be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fetch what a job has made; prints the paths of the files.

    A download that was cut off goes on where it was, and each file is checked against its hash.
    """
    detail = await session.client.jobs.get(await session.job(job))
    links = _chosen(detail.artifacts, only or [])
    if not links:
        raise CommandError(
            f"The job {detail.job_id} has made nothing yet.",
            f"`myspinbot watch {detail.job_id}` waits for it.",
            NOT_FOUND,
        )
    folder = (output or Path("out") / detail.job_id).expanduser()
    try:
        with transfer_view("Receiving", total=sum(link.size for link in links)) as on_received:
            saved = await session.client.artifacts.save(links, folder, on_received)
    except OSError as error:
        raise CommandError(
            f"The folder {folder} cannot be written: {error.strerror}.",
            "Make room there, or choose another one with --output; what has arrived is kept.",
        ) from error

    def text() -> None:
        for path in saved.values():
            plain(str(path))

    paths = [str(path) for path in saved.values()]
    session.show({"jobId": detail.job_id, "files": paths}, text)


def _chosen(links: tuple[ArtifactLink, ...], only: list[str]) -> list[ArtifactLink]:
    known = {link.output for link in links}
    if links and (unknown := [name for name in only if name not in known]):
        raise CommandError(
            f"The job has no result that is called {unknown[0]}.",
            f"It has {', '.join(sorted(known))}.",
            MISUSED,
        )
    return [link for link in links if not only or link.output in only]
