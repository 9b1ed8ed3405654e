"""The `myspinbot` command: where its subcommands come together and their errors are shown."""

from __future__ import annotations

import sys

import typer

from myspinbot.commands import demo, events, jobs, submit, up, watch
from myspinbot.errors import CommandError
from myspinbot.screen import show_error

app = typer.Typer(
    name="myspinbot",
    help="Photos and a short voice clip become a personal, talking video — on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _myspinbot() -> None:
    """Commands for a system on this machine, or for any other one with --api."""


app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("submit")(submit.submit)
app.command("watch")(watch.watch)
app.command("jobs")(jobs.jobs)
app.command("cancel")(jobs.cancel)
app.add_typer(events.app, name="events")


def main() -> None:
    """Run the command line; ends the process with the status that the README tells."""
    try:
        app()
    except CommandError as error:
        show_error(error)
        sys.exit(error.status)


if __name__ == "__main__":
    main()
