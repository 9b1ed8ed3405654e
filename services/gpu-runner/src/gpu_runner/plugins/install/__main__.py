"""The program for engines, one JSON object a line: `python -m gpu_runner.plugins.install list`.

`myspinbot engines` shows what it tells; in a runner's container it serves as it is.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from gpu_runner.plugins import manifest
from gpu_runner.plugins.environment import Environment
from gpu_runner.plugins.install import making
from gpu_runner.plugins.install.sources import Shelf, known, shelf_of, source
from gpu_runner.plugins.table import ManifestError
from gpu_runner.tool import parser_of, status_of, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    given = _parser().parse_args(arguments)
    return status_of(lambda: int(given.work(shelf_of(os.environ), given)))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("gpu_runner.plugins.install", "Engines with environments of their own.")
    words = parser.add_subparsers(required=True, metavar="WORD")
    words.add_parser("list", help="engines that can be installed").set_defaults(work=_list)
    for name, work, told in (
        ("plan", _plan, "what an installation takes"),
        ("install", _install, "make its environment"),
        ("remove", _remove, "take it away"),
    ):
        asked = words.add_parser(name, help=told)
        asked.add_argument("engine", metavar="ENGINE", help="its name, or a folder with a slash")
        asked.set_defaults(work=work)
    return parser


def _list(shelf: Shelf, _: argparse.Namespace) -> int:
    engines = known(os.environ)
    tell(
        {
            "folder": str(shelf.root),
            "engines": [_told(shelf, engines[name]) for name in sorted(engines)],
        }
    )
    return 0


def _plan(shelf: Shelf, given: argparse.Namespace) -> int:
    tell({"plan": _told(shelf, source(given.engine, os.environ))})
    return 0


def _told(shelf: Shelf, wanted: Environment) -> dict[str, Any]:
    contents = wanted.contents
    return {
        "name": contents.name,
        "title": contents.title,
        "licence": contents.licence,
        "state": shelf.state(wanted),
        "stages": _stages(wanted),
        "torch": contents.torch,
        "torchIndexIsNamed": bool(os.environ.get(making.INDEX_SETTING)),
        "sizes": [
            {"build": build, "downloadBytes": each.download, "diskBytes": each.disk}
            for build, each in making.sizes(wanted).items()
        ],
        "source": str(wanted.root),
        "path": str(shelf.folder(contents.name)),
    }


def _stages(wanted: Environment) -> list[str]:
    """What it does; of a plug-in that is not right, installing tells more."""
    kinds = []
    for folder in wanted.plugins():
        try:
            kinds.append(manifest.load(folder).manifest.kind)
        except ManifestError:
            kinds.append("unknown")
    return kinds


def _install(shelf: Shelf, given: argparse.Namespace) -> int:
    wanted = source(given.engine, os.environ)
    folder = making.install(wanted, shelf, os.environ, lambda step: tell({"step": step}))
    tell({"installed": wanted.contents.name, "path": str(folder)})
    return 0


def _remove(shelf: Shelf, given: argparse.Namespace) -> int:
    tell({"removed": given.engine, "freedBytes": making.remove(given.engine, shelf)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
