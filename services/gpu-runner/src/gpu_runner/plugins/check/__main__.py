"""The program for authors of plug-ins: `python -m gpu_runner.plugins.check FOLDER`.

Ends with status 0 if all is right, 1 if something is not, 2 if it was called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpu_runner.plugins.check import inputs
from gpu_runner.plugins.check.inputs import Inputs
from gpu_runner.plugins.check.verdicts import Examination, Verdict
from gpu_runner.plugins.manifest import ManifestError, load

_MARKS = {True: "ok  ", False: "FAIL", None: "-   "}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a plug-in and print what was found; the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        plugin = load(given.folder)
    except ManifestError as error:
        return _told(Verdict("the manifest is right", passed=False, told=str(error)))
    own = plugin.manifest
    _told(
        Verdict("the manifest is right", passed=True, told=f"{own.kind} {own.name} {own.version}")
    )
    if lacks := plugin.lacking():
        told = "; ".join(f"{each.name}: {each.how_to_get}" for each in lacks)
        return _told(Verdict("all that it needs is there", passed=False, told=told))
    with tempfile.TemporaryDirectory(prefix="plugin-check-") as folder:
        root = Path(folder).resolve()
        made = inputs.make(own.kind, root / "inputs")
        for name, files in _named(parser, given.input).items():
            made[name] = files
        if not made:
            parser.error(f"{own.kind} is no kind of ours: name its inputs by --input NAME=FILE")
        examination = Examination(plugin, made, root, given.timeout, given.device)
        return asyncio.run(_examine(examination))


async def _examine(examination: Examination) -> int:
    status = 0
    async for verdict in examination.verdicts():
        status |= _told(verdict)
    return status


def _told(verdict: Verdict) -> int:
    told = f"  ({verdict.told})" if verdict.told else ""
    sys.stdout.write(f"{_MARKS[verdict.passed]}  {verdict.question}{told}\n")
    sys.stdout.flush()
    return int(verdict.passed is False)


def _named(parser: argparse.ArgumentParser, given: Sequence[str]) -> Inputs:
    named: Inputs = {}
    for each in given:
        name, _, file = each.partition("=")
        path = Path(file).absolute()
        if not path.is_file():
            parser.error(f"--input {each}: there is no such file")
        named.setdefault(name, []).append(path)
    return named


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_runner.plugins.check",
        description="Whether a plug-in keeps to the protocol of docs/plugins.md.",
    )
    parser.add_argument("folder", type=Path, help="the folder with plugin.toml in it")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a file of your own for an input, such as a photo for `portrait`; may be repeated",
    )
    parser.add_argument("--device", default="cpu", help="such as cuda:0")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one run (300)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
