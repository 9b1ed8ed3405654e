"""`myspinbot open`: the page, in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import Annotated

import typer

from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.options import Session, connected, examples
from myspinbot.screen import document, plain


@examples("myspinbot open", "myspinbot open last", "myspinbot open 01k9z3… --print")
@connected
async def open_page(
    session: Session,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="A job's id, or `last`; without, the page of the system.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    only_print: Annotated[
        bool,
        typer.Option("--print", help="Only print the address.", show_default=False),
    ] = False,
) -> None:
    """Open the page of the system, or of a job, in the browser; prints its address."""
    url = session.client.api + "/"
    if job is not None:
        detail = await session.client.jobs.status(await session.job(job))
        url += f"#/job/{detail.job_id}"
    if session.as_json:
        document({"url": url})
    else:
        plain(url)
    if not only_print and has_browser(os.environ):
        webbrowser.open(url)


def has_browser(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a window can be opened here: not over ssh, and not without a screen."""
    if environment.get("BROWSER"):
        return True
    if platform in ("darwin", "win32"):
        return not environment.get("SSH_CONNECTION")
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
