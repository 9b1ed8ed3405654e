"""Takes away from this process what decoding does not need: memory, time, files, the network.

Where the system has no such limit, what is lacking is told, and the rest still holds.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from servicekit.sandbox import syscalls

log = structlog.get_logger(__name__)

_FILES = 32
_NO_FILTER = "no filter of system calls: files and the network stay within its reach"
_NO_MEMORY = "no limit on memory"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a confined process may take.

    `memory_bytes` comes on top of what it has when it has started; `cpu_s` seconds of a processor
    are for one wish, and `patience_s` seconds on the clock.
    """

    memory_bytes: int
    cpu_s: int
    patience_s: float


def lacking() -> tuple[str, ...]:
    """What of the limits this system does not have, in words for a log."""
    lacks = [] if syscalls.supported() else [_NO_FILTER]
    return (*lacks, *(() if sys.platform == "linux" else (_NO_MEMORY,)))


def tell_lacking() -> None:
    """Warn of it, for a service that starts."""
    for each in lacking():
        log.warning("sandbox.lacks", detail=each)


def confine(limits: Limits) -> None:
    """Take all away, for good. Whatever has to be imported or opened is so already."""
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_FSIZE, 0)
    _at_most(resource.RLIMIT_NOFILE, _FILES)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _at_most(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory_bytes)
    if syscalls.supported():
        syscalls.refuse()


def allow_time(limits: Limits) -> None:
    """Let this process compute for so long from now on; the kernel ends it after that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    whole = int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (whole, resource.RLIM_INFINITY))


def _at_most(what: int, amount: int) -> None:
    _, hard = resource.getrlimit(what)
    least = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(what, (least, least))
