"""The home folder: who may read it, who holds it, what an earlier run has left."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from servicekit.processes import lives

from myspinbot.doctor.findings import Finding, failed, passed, warned
from myspinbot.embedded.home import Home
from myspinbot.embedded.ports import is_free
from myspinbot.embedded.processes import leftovers
from myspinbot.screen import when

_PRIVATE = stat.S_IRWXG | stat.S_IRWXO


def check(home: Home) -> Iterator[Finding]:
    """Everything about the folder of the local system."""
    if not home.root.exists():
        yield unused(home)
        return
    if not home.root.is_dir():
        yield failed(
            "home",
            f"{home.root} is a file, and no data folder.",
            "Choose another one with --home or MYSPINBOT_HOME.",
        )
        return
    yield writable(home)
    yield private(home)
    if (newer := home.newer()) is not None:
        yield failed("data", newer.cause, newer.remedy)
    running = home.running()
    if running is not None:
        yield held(home)
        return
    yield from left(home)
    yield ports(home, is_free)


def unused(home: Home) -> Finding:
    """Whether a folder that is not there can be made."""
    above = next(each for each in home.root.parents if each.exists())
    if os.access(above, os.W_OK | os.X_OK):
        return passed("home", f"{home.root} is made by the first `myspinbot up`")
    return failed(
        "home",
        f"The data folder {home.root} cannot be made: {above} belongs to others.",
        "Choose another one with --home or MYSPINBOT_HOME.",
    )


def writable(home: Home) -> Finding:
    """Whether all folders are ours to write."""
    shut = [each for each in _folders(home) if not os.access(each, os.R_OK | os.W_OK | os.X_OK)]
    if not shut:
        return passed("home", str(home.root))
    return failed(
        "home",
        f"The folder {shut[0]} cannot be written.",
        f"Make it yours: sudo chown -R {os.environ.get('USER', '$USER')} {home.root}",
    )


def private(home: Home) -> Finding:
    """Whether faces, voices and keys are closed to others."""
    candidates = [home.data, home.keys, home.logs, home.run]
    if home.keys.is_dir() and os.access(home.keys, os.R_OK | os.X_OK):
        candidates += [path for path in home.keys.rglob("*") if path.is_file()]
    lax = [path for path in candidates if path.exists() and path.stat().st_mode & _PRIVATE]
    if not lax:
        return passed("privacy", "data and keys can be read by their owner only")
    return failed(
        "privacy",
        f"Others on this machine can read {lax[0]}"
        + (f" and {len(lax) - 1} more." if len(lax) > 1 else "."),
        f"Close it: chmod -R go= {home.data} {home.logs} {home.run}",
    )


def held(home: Home) -> Finding:
    """Who runs the system of the folder."""
    note = home.note()
    if note.pid and lives(note.pid):
        state = "ready" if note.ready else "starting"
        return passed("stack", f"{state}, process {note.pid} since {_clock(note.since)}")
    return warned(
        "stack",
        f"The lock {home.root / 'lock'} is held, and the process of the note is gone.",
        f"Wait if a system is just starting; else find the holder: fuser {home.root / 'lock'}",
    )


def left(home: Home) -> Iterator[Finding]:
    """What was left by a system that did not end in order."""
    note = home.note()
    alive = list(leftovers(note.stack))
    if alive:
        listed = " ".join(map(str, alive))
        yield warned(
            "stack",
            f"Processes of an earlier run are still there: {listed}.",
            f"The next `myspinbot up` ends them; or do it now: kill {listed}",
        )
    elif note.pid:
        yield passed("stack", "not running; the last one was killed, and the next goes on from it")
    else:
        yield passed("stack", "not running; `myspinbot up` starts it")


def ports(home: Home, free: Callable[[int], bool]) -> Finding:
    """Whether the ports that the system had before are free for it."""
    remembered = home.note().ports
    taken = {name: port for name, port in remembered.items() if not free(port)}
    if "http" in taken:
        return warned(
            "ports",
            f"Port {taken['http']}, where API and page were, is in use by another program: "
            "the address would change.",
            f"End that program (find it: ss -ltnp 'sport = :{taken['http']}'), or choose a port: "
            "myspinbot up --port",
        )
    if taken:
        return passed("ports", f"{len(taken)} are in use by others; new ones are chosen")
    return passed("ports", f"{len(remembered)} are free" if remembered else "chosen at the start")


def _clock(since: str) -> str:
    try:
        return when(datetime.fromisoformat(since))
    except ValueError:
        return since


def _folders(home: Home) -> list[Path]:
    candidates = (home.root, home.data, home.keys, home.logs, home.run)
    return [folder for folder in candidates if folder.exists()]
