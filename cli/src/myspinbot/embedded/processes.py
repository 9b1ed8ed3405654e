"""Child processes that cannot outlive their supervisor, and the search for any that did.

Linux ends a child when its parent dies (`PR_SET_PDEATHSIG`, prctl(2)). What escapes that, such
as a grandchild, carries the stack's id in its environment and is found by it at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from myspinbot.embedded.supervision import Ties

STACK_VARIABLE = "MYSPINBOT_STACK"
LOG_BYTES = 16 << 20
_PR_SET_PDEATHSIG = 1
_LINUX = sys.platform == "linux"
# Loaded before any fork: between fork and exec a child must not load a library.
_LIBC = ctypes.CDLL(None, use_errno=True) if _LINUX else None


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, what it needs first, and how one sees that it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], Awaitable[bool]]
    ties: Ties = field(default_factory=Ties)


async def spawn(program: Program, log_file: Path) -> Process:
    """Start a program in a session of its own, so that a Ctrl-C in the terminal spares it."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # The parent may have died before the call.
            if os.getppid() != parent:
                os._exit(1)

    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.command,
            cwd=program.folder,
            env=dict(program.environment),
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def ask_to_stop(process: Process) -> None:
    """Let the process end in its own way."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def kill_group(pid: int) -> None:
    """End a process, and what it has started in its session, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def leftovers(stack: str, proc: Path = Path("/proc")) -> Iterator[int]:
    """The processes of an earlier run of a stack that are still alive (on Linux)."""
    mark = f"{STACK_VARIABLE}={stack}".encode()
    for folder in proc.glob("[0-9]*") if stack else ():
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def kill_leftovers(stack: str) -> list[int]:
    """End what is left of an earlier run of a stack; returns the process ids."""
    found = list(leftovers(stack))
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def describe_end(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def last_words(log_file: Path, since: int = 0, count: int = 8) -> list[str]:
    """The end of a log after a position, for whoever must find out why a process died."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 16_384, since))
            lines = file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
    return [_readable(line) for line in lines]


def _readable(line: str) -> str:
    """A line of a structured log as a person reads it; any other line as it is."""
    try:
        entry = json.loads(line)
        said = entry.get("detail") or entry.get("exception", "").strip().rpartition("\n")[2]
        return f"{entry['event']}: {said}" if said else str(entry["event"])
    except (ValueError, AttributeError, KeyError):
        return line


def size_of(log_file: Path) -> int:
    """How long a log is now, in bytes; 0 if there is none."""
    try:
        return log_file.stat().st_size
    except FileNotFoundError:
        return 0


def rotate(log_file: Path) -> None:
    """Keep one earlier log when the present one has grown long."""
    if size_of(log_file) > LOG_BYTES:
        log_file.replace(log_file.with_name(log_file.name + ".1"))
