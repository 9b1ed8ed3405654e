"""The program itself: Python, the locked packages, the servers that came as wheels."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from myspinbot.doctor.findings import Finding, failed, passed, warned
from myspinbot.embedded.binaries import NATS_PROGRAM, WEED_PROGRAM, binary
from myspinbot.errors import CommandError

OLDEST = (3, 11)
_PIN = re.compile(r"^[A-Za-z0-9][^#\\\n]*==[^#\\\n]+", re.MULTILINE)
_MOST_NAMED = 4


def check() -> Iterator[Finding]:
    """Everything about the installation."""
    yield python(sys.version_info[:3])
    yield packages(locked(lock_file()), installed)
    for name in (NATS_PROGRAM, WEED_PROGRAM):
        yield server(name)


def python(found: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    told = ".".join(map(str, found))
    if found >= OLDEST:
        return passed("python", f"Python {told}")
    return failed(
        "python",
        f"Python {told} is too old.",
        "Install Python 3.11 or newer and set up again: make clean setup PYTHON=python3.11",
    )


def packages(wanted: Mapping[str, str], look: Callable[[str], str | None]) -> Finding:
    """Whether what is installed is what the lock names, by name and version."""
    if not wanted:
        return passed("packages", "installed without a lock file beside the program")
    found = {name: look(name) for name in wanted}
    absent = sorted(name for name, have in found.items() if have is None)
    other = sorted(
        f"{name} {have} for {wanted[name]}"
        for name, have in found.items()
        if have is not None and have.partition("+")[0] != wanted[name]
    )
    remedy = "Install what the lock names: make setup (or `make clean setup` to begin anew)."
    if absent:
        return failed("packages", f"{_some(absent)} not installed.", remedy)
    if other:
        return warned("packages", f"Other versions than locked: {_some(other)}.", remedy)
    return passed("packages", f"all {len(wanted)} as locked")


def server(name: str) -> Finding:
    """Whether a server's program is there."""
    try:
        return passed(name, binary(name))
    except CommandError as error:
        return failed(name, error.cause, error.remedy)


def lock_file(start: Path = Path(__file__)) -> Path | None:
    """The lock of the repository that this program runs from, if it does."""
    found = (parent / "requirements" / "all.txt" for parent in start.resolve().parents)
    return next((path for path in found if path.is_file()), None)


def locked(path: Path | None) -> dict[str, str]:
    """Versions by the names of packages, as a requirements file pins them for this machine."""
    text = path.read_text(encoding="utf-8") if path else ""
    pinned = {}
    for line in _PIN.findall(text):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            [pin] = requirement.specifier
            pinned[requirement.name] = pin.version
    return pinned


def installed(name: str) -> str | None:
    """The version of a package, or None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
