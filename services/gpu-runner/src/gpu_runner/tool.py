"""A program that `myspinbot` shows: a JSON object a line, of errors as well.

It ends with the statuses of docs/cli.md, so in a container it serves as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from gpu_runner.faults import Fault, ToldError

_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Tells of misuse as of every error."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        tell({"error": message, "remedy": "see --help"})
        sys.exit(Fault.MISUSED)


def parser_of(module: str, description: str) -> Parser:
    """The parser of `python -m module`, which always tells in JSON."""
    parser = Parser(prog=f"python -m {module}", description=description)
    parser.add_argument("--progress", choices=("json",), default="json")
    return parser


def tell(message: dict[str, Any]) -> None:
    """Say one thing to whoever called."""
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def status_of(work: Callable[[], int]) -> int:
    """Do the work; how the program is to end."""
    try:
        return work()
    except ToldError as error:
        tell({"error": error.cause, "remedy": error.remedy})
        return error.fault
    except KeyboardInterrupt:
        return _INTERRUPTED
