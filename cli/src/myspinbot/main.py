"""The `myspinbot` command: where its subcommands come together and their errors are shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from myspinbot.commands import (
    backup,
    demo,
    dlq,
    doctor,
    download,
    engines,
    events,
    jobs,
    logs,
    models,
    nats,
    open,  # noqa: A004 - a command's name
    oversight,
    pipelines,
    profiles,
    provision,
    replay,
    shell,
    show,
    steer,
    submit,
    tokens,
    trace,
    up,
    verify,
    watch,
    webhooks,
)
from myspinbot.commands.options import add
from myspinbot.commands.remedies import at_command_line
from myspinbot.errors import FAILED, CommandError
from myspinbot.screen import plain, show_error

app = typer.Typer(
    name="myspinbot",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="[bold]Begin with[/bold]\n"
    "  [cyan]myspinbot demo[/cyan]      the whole way from photos to video, on a sample\n"
    "  [cyan]myspinbot up[/cyan]        leave the system running\n"
    "  [cyan]myspinbot doctor[/cyan]    find out what is wrong, and how to mend it\n\n"
    "Exit status: 0 done, 1 a job or check failed, 2 called wrongly, 3 no system answers, "
    "4 refused, 5 not found, 6 not allowed, 130 ended by Ctrl-C.",
)

_SYSTEM = "The system"
_MAKE = "Make something"
_FOLLOW = "See how it goes"
_STEER = "Change your mind"
_LOG = "The log"
_KEEP = "What there is"
_REACH = "Let others in"


def _print_version(wanted: bool) -> None:
    if wanted:
        plain(f"myspinbot {metadata.version('myspinbot')}")
        raise typer.Exit


@app.callback()
def _myspinbot(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and end.",
            show_default=False,
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Photos and a short voice clip become a talking video, on your own machine.

    Commands use the system that runs on this machine, or any other one with --api.
    """


add(app, "up", up.up, _SYSTEM)
add(app, "doctor", doctor.doctor, _SYSTEM)
add(app, "provision", provision.provision, _SYSTEM)
add(app, "open", open.open_page, _SYSTEM)
add(app, "runners", models.runners, _SYSTEM)
add(app, "stats", models.stats, _SYSTEM)
app.add_typer(events.app, name="events", rich_help_panel=_LOG)
add(app, "replay", replay.replay, _LOG)
app.add_typer(nats.app, name="nats", rich_help_panel=_LOG)
add(app, "backup", backup.backup, _LOG)
add(app, "restore", backup.restore, _LOG)
app.add_typer(dlq.app, name="dlq", rich_help_panel=_LOG)
add(app, "usage", oversight.usage, _LOG)
add(app, "audit", oversight.audit, _LOG)
add(app, "demo", demo.demo, _MAKE)
add(app, "submit", submit.submit, _MAKE)
add(app, "download", download.download, _MAKE)
add(app, "verify", verify.verify, _MAKE)
add(app, "watch", watch.watch, _FOLLOW)
add(app, "jobs", jobs.jobs, _FOLLOW)
add(app, "show", show.show, _FOLLOW)
add(app, "logs", logs.logs, _FOLLOW)
add(app, "trace", trace.trace, _FOLLOW)
add(app, "cancel", steer.cancel, _STEER)
add(app, "retry", steer.retry, _STEER)
add(app, "fork", steer.fork, _STEER)
add(app, "delete", steer.delete, _STEER)
app.add_typer(profiles.app, name="profiles", rich_help_panel=_KEEP)
app.add_typer(models.app, name="models", rich_help_panel=_KEEP)
app.add_typer(engines.app, name="engines", rich_help_panel=_KEEP)
app.add_typer(pipelines.app, name="pipelines", rich_help_panel=_KEEP)
app.add_typer(tokens.app, name="tokens", rich_help_panel=_REACH)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=_REACH)
add(app, "completion", shell.completion, _REACH)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; ends the process with the status that docs/cli.md tells."""
    try:
        app(arguments)
        sys.exit(0)
    except CommandError as error:
        show_error(error.cause, at_command_line(error))
        sys.exit(error.exit_status)
    except OSError as error:
        # Click has seen to pipes that nobody reads any more.
        where = f" ({error.filename})" if error.filename else ""
        show_error(
            f"The machine refused: {error.strerror or error}{where}.",
            "`myspinbot doctor` looks at space and folders.",
        )
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
