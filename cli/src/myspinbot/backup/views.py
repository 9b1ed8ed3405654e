"""The projector's database, out and back, by the projector's own program for it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from myspinbot.backup.manifest import Part, ViewsPart, part_of
from myspinbot.errors import REFUSED, CommandError

FOLDER = "views"


async def back_up(url: str, folder: Path) -> ViewsPart:
    """Copy the views into the folder of a backup, as of one moment."""
    told = await _archive(url, "dump", str(folder / FOLDER))
    files: tuple[Part, ...] = tuple(
        part_of(folder, folder / FOLDER / name) for name in told["files"]
    )
    return ViewsPart(kind=told["kind"], files=files, positions=tuple(told["positions"]))


async def check_free(url: str, log: datetime | None) -> bool:
    """Whether an earlier try has loaded the views of this log; CommandError if others are there."""
    told = await _archive(url, "probe")
    if told["empty"]:
        return False
    if log is not None and told["log"] and datetime.fromisoformat(told["log"]) == log:
        return True
    raise CommandError(
        "The database holds tables already.",
        "Name an empty one with --database-url, or none: then the views are filled from the log.",
        REFUSED,
    )


async def restore(url: str, folder: Path, *, old: datetime, new: datetime) -> None:
    """Load the views into an empty database, for the log that is created anew."""
    times = ("--from-log", old.isoformat(), "--to-log", new.isoformat())
    await _archive(url, "load", str(folder / FOLDER), *times)


def fits(url: str, part: ViewsPart) -> bool:
    """Whether these views can be loaded into this kind of database."""
    return url.partition(":")[0].partition("+")[0] == part.kind


async def _archive(url: str, *words: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "projector.archive",
        *words,
        env={**os.environ, "MYSPINBOT_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    lines = out.decode().splitlines()
    try:
        told = dict(json.loads(lines[-1]))
    except (IndexError, ValueError):
        last = err.decode(errors="replace").strip().rpartition("\n")[2]
        raise CommandError(
            f"The database could not be copied: {last or f'status {process.returncode}'}.",
            "Check that the projector is installed beside this command.",
        ) from None
    if "error" in told:
        raise CommandError(told["error"], told["remedy"])
    return told
