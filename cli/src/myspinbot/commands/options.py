"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from myspinbot.embedded.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of the local system's data [default: $MYSPINBOT_HOME, else the user's data].",
        show_default=False,
    ),
]


def home_of(option: Path | None) -> Home:
    """The home folder that is meant."""
    return Home(option.expanduser().absolute()) if option else Home.default(os.environ)
