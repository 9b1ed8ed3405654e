"""`myspinbot completion`: the script by which a shell completes our command lines."""

from __future__ import annotations

from typing import Annotated

import typer
from typer._completion_shared import Shells, get_completion_script

from myspinbot.commands.options import examples
from myspinbot.errors import MISUSED, CommandError
from myspinbot.screen import plain


@examples(
    "myspinbot completion bash > ~/.local/share/bash-completion/completions/myspinbot",
    "myspinbot completion fish > ~/.config/fish/completions/myspinbot.fish",
    "myspinbot --install-completion",
)
def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL",
            help="bash, zsh, fish or powershell.",
            show_default=False,
            autocompletion=lambda: [each.value for each in Shells],
        ),
    ],
) -> None:
    """Print the script that makes a shell complete commands, options, and ids of jobs.

    `myspinbot --install-completion` puts it in place for the shell that you use.
    """
    known = [each.value for each in Shells]
    if shell not in known:
        raise CommandError(
            f"There is no completion for the shell {shell!r}.",
            f"Choose one of {', '.join(known)}.",
            MISUSED,
        )
    plain(
        get_completion_script(
            prog_name="myspinbot", complete_var="_MYSPINBOT_COMPLETE", shell=shell
        )
    )
