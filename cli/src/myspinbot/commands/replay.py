"""`myspinbot replay`: the log once more through today's code, in each of the ways it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from myspinbot.commands.completion import complete_jobs
from myspinbot.commands.events.session import NatsOption
from myspinbot.commands.options import (
    CONNECTION,
    LATEST,
    HomeOption,
    JsonOption,
    examples,
    home_of,
    run,
)
from myspinbot.errors import MISUSED, CommandError

_VIEWS = "Views"
_PLANNER = "Decisions"
_PLAYBACK = "Playback"


@dataclass(frozen=True, slots=True)
class _Way:
    """One of the ways to replay: the option that asks for it, and those that go with it."""

    option: str
    wanted: bool
    own: dict[str, bool]


@examples(
    "myspinbot replay",
    "myspinbot replay --since 7d --json",
    "myspinbot replay --projection jobs",
    "myspinbot replay --projection jobs --job last",
    "myspinbot replay --check",
    "myspinbot replay --planner",
    "myspinbot replay --planner --file exported.jsonl",
    "myspinbot replay --speed 10x last --open",
)
def replay(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB",
            help=f"Only these jobs: ids or their beginnings, or `{LATEST}` for the newest.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    *,
    job_options: Annotated[
        list[str] | None,
        typer.Option(
            "--job",
            metavar="JOB",
            help="The same, as an option. May be given several times.",
            show_default=False,
            autocompletion=complete_jobs,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Count only what comes after this position in the log, or since a time: 2h ago, "
            "or 2026-11-22T10:00.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="End with this position, or at this time.", show_default=False
        ),
    ] = None,
    projections: Annotated[
        list[str] | None,
        typer.Option(
            "--projection",
            metavar="NAME",
            help="Make this view anew beside the one that answers, and switch to it; with a JOB, "
            "only its rows. May be given several times.",
            show_default=False,
            rich_help_panel=_VIEWS,
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Begin anew where an earlier rebuild was interrupted.",
            show_default=False,
            rich_help_panel=_VIEWS,
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Make the views anew in a temporary database, all or those named with "
            "--projection, and compare row by row. The status is 1 if they differ.",
            show_default=False,
            rich_help_panel=_VIEWS,
        ),
    ] = False,
    planner: Annotated[
        bool,
        typer.Option(
            "--planner",
            help="Decide recorded jobs anew, and show where today's planner would decide "
            "otherwise. The status is 1 if it would.",
            show_default=False,
            rich_help_panel=_PLANNER,
        ),
    ] = False,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Take the jobs from a file of one event a line, as `events export` makes it. "
            "May be given several times.",
            show_default=False,
            rich_help_panel=_PLANNER,
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            metavar="10x",
            help="Play a job back here, so many times as fast as it was, and tell where the page "
            "plays it.",
            show_default=False,
            rich_help_panel=_PLAYBACK,
        ),
    ] = None,
    longest: Annotated[
        str | None,
        typer.Option(
            metavar="5s",
            help="The longest pause in it (default: 5s).",
            show_default=False,
            rich_help_panel=_PLAYBACK,
        ),
    ] = None,
    open_page: Annotated[
        bool,
        typer.Option(
            "--open",
            help="Open the page that plays it, too.",
            show_default=False,
            rich_help_panel=_PLAYBACK,
        ),
    ] = False,
    as_json: JsonOption = False,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="MYSPINBOT_DATABASE_URL",
            help="Database of the views (default: the local system's).",
            metavar="URL",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    nats: NatsOption = None,
    seed: Annotated[
        Path | None,
        typer.Option(
            help="File with the nkey seed of a user who may read the log: for views that of the "
            "role projector, else that of the role observer.",
            metavar="FILE",
            show_default=False,
            rich_help_panel=CONNECTION,
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Read the log once more through today's code, and see what comes out. Nothing is changed.

    Without more, the jobs are folded from their events and counted. Views are made anew, or only
    compared with what they should be; the planner's decisions are made again; a job is played
    back as it went. Only --projection writes: it puts a view right.
    """
    chosen = _chosen(
        _Way("--check", check, {}),
        _Way("--projection", bool(projections) and not check, {"--fresh": fresh}),
        _Way("--planner", planner, {"--file": bool(files)}),
        _Way("--speed", speed is not None, {"--longest": longest is not None, "--open": open_page}),
        _Way("", wanted=True, own={"--since": since is not None, "--until": until is not None}),
    )
    # Imported where they are used: other commands need no broker, and should start fast.
    from myspinbot.replaying.deciding import decide
    from myspinbot.replaying.fold import fold
    from myspinbot.replaying.place import Place
    from myspinbot.replaying.playing import play
    from myspinbot.replaying.views import check as check_views
    from myspinbot.replaying.views import rebuild

    place = Place(home_of(home), nats, seed, database_url, as_json=as_json)
    named = [*(jobs or ()), *(job_options or ())]
    match chosen:
        case "--check":
            run(check_views(place, projections or [], named))
        case "--projection":
            run(rebuild(place, projections or [], named, fresh=fresh))
        case "--planner":
            run(decide(place, named, files or []))
        case "--speed":
            run(play(place, named, speed or "", longest or "5s", open_page=open_page))
        case _:
            run(fold(place, named, since, until))


def _chosen(*ways: _Way) -> str:
    """The option that says how to replay; CommandError if options do not go together."""
    asked = [way for way in ways if way.wanted and way.option]
    if len(asked) > 1:
        names = " and ".join(way.option for way in asked)
        raise CommandError(f"{names} do not go together.", "Do one after the other.", MISUSED)
    chosen = next(way for way in ways if way.wanted)
    for way in ways:
        stray = [name for name, given in way.own.items() if given and way is not chosen]
        if stray:
            goes = f"with {way.option}" if way.option else "where the log is only folded"
            raise CommandError(
                f"{stray[0]} has a meaning only {goes}.", "Leave it out, or see --help.", MISUSED
            )
    return chosen.option
