"""Words that a shell completes: ids of jobs and profiles, asked of the system if it is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

_QUICK_S = 0.7
Words = list[tuple[str, str]]


def complete_jobs(context: typer.Context, incomplete: str) -> Words:
    """Ids of the newest jobs, with what they are."""
    return _ask(
        context,
        incomplete,
        "/api/jobs?limit=50",
        lambda reply: [
            (job["jobId"], f"{job['type']} {job['status']} {job.get('name') or ''}".strip())
            for job in reply["jobs"]
        ],
    )


def complete_profiles(context: typer.Context, incomplete: str) -> Words:
    """Ids of the newest profiles, with their names."""
    return _ask(
        context,
        incomplete,
        "/api/profiles?limit=50",
        lambda reply: [(one["profileId"], one.get("name") or "") for one in reply["profiles"]],
    )


def complete_pipelines(context: typer.Context, incomplete: str) -> Words:
    """Ids of the pipelines, with their names."""
    return _ask(
        context,
        incomplete,
        "/api/pipelines",
        lambda reply: [(one["pipelineId"], one["name"]) for one in reply["pipelines"]],
    )


def complete_stages(context: typer.Context, incomplete: str) -> Words:
    """The stages of the job that the command line names, or of the newest."""
    job = context.params.get("job") or "last"
    if job == "last":
        newest = _ask(
            context,
            "",
            "/api/jobs?limit=1",
            lambda reply: [(each["jobId"], "") for each in reply["jobs"]],
        )
        if not newest:
            return []
        job = newest[0][0]
    return _ask(
        context,
        incomplete,
        f"/api/jobs/{job}",
        lambda reply: [(stage["id"], stage["status"]) for stage in reply["stages"]],
    )


def complete_event_types(incomplete: str) -> Words:
    """The types of events, with what they say."""
    from contracts.events import EVENTS

    return [
        (name, (model.__doc__ or "").splitlines()[0])
        for name, model in sorted(EVENTS.items())
        if name.lower().startswith(incomplete.lower())
    ]


def _ask(
    context: typer.Context, incomplete: str, path: str, words: Callable[[Any], Words]
) -> Words:
    # Imported here, because completion comes before every command is loaded and must be quick.
    import httpx

    from myspinbot.commands.options import target_of
    from myspinbot.errors import CommandError

    given = {name: context.params.get(name) for name in ("api", "token", "token_file", "home")}
    try:
        target = target_of(**given)
        headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
        reply = httpx.get(
            target.api + path,
            headers=headers,
            timeout=_QUICK_S,
            trust_env=not target.on_this_machine,
        )
        reply.raise_for_status()
        found = words(reply.json())
    except (CommandError, httpx.HTTPError, ValueError, KeyError, TypeError):
        # A shell's line is no place for an error: there is nothing to complete, that is all.
        return []
    return [(word, told) for word, told in found if word.startswith(incomplete)]
