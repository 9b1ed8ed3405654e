"""Loopback ports for a stack: those it had before where they are free, else others that are."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from myspinbot.errors import CommandError

NAMES = (
    "http",
    "nats",
    "nats_monitor",
    "planner_admin",
    "runner_admin",
    "projector_admin",
    "gateway_admin",
    "metrics",
    "s3",
    "master",
    "volume",
    "filer",
    "weed_admin",
)
"""Every port of a stack."""

GRPC_OFFSET = 10_000
"""The parts of SeaweedFS listen for each other at this distance from their HTTP ports."""
_WITH_GRPC = frozenset({"s3", "master", "volume", "filer", "weed_admin"})

PREFERRED_HTTP = 8787

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), here
# and at the distance above, so that a port stays free while its process is started again.
_FIRST, _COUNT = 20_000, 2_700


class PortTakenError(CommandError):
    """The port that was asked for is in use."""


def is_free(port: int) -> bool:
    """Whether one can listen on a loopback port now."""
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Claims:
    """The ports of one stack, kept from other stacks until its programs listen, and after.

    A port is free for a while after it was chosen, and two stacks that start in the same moment
    would choose the same. So each port has a byte in a file, which who takes it locks
    (`F_SETLK`, fcntl(2)); the locks end with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        path = (folder or Path(tempfile.gettempdir())) / f"myspinbot-ports-{os.getuid()}.lock"
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)

    def take(self, port: int) -> bool:
        """Whether the port is free and no other process has taken it; it is ours then."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return is_free(port)

    def close(self) -> None:
        """Give all of them back."""
        os.close(self._file)


def choose(
    remembered: Mapping[str, int],
    wanted_http: int | None,
    start: int,
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """A free port for each name, all different.

    `start` is any number; it decides where the search for new ports begins. Raises
    PortTakenError if `wanted_http` is in use.
    """
    if wanted_http is not None and not free(wanted_http):
        raise PortTakenError(
            f"Port {wanted_http} is in use.", "Choose another one with --port, or none."
        )
    chosen: dict[str, int] = {}
    for name in NAMES:
        candidates = [remembered[name]] if name in remembered else []
        if name == "http":
            candidates = [wanted_http] if wanted_http else [*candidates, PREFERRED_HTTP]
        offsets = (0, GRPC_OFFSET) if name in _WITH_GRPC else (0,)
        anywhere = (_FIRST + (start + step) % _COUNT for step in range(_COUNT))
        chosen[name] = _first_free((*candidates, *anywhere), offsets, chosen.values(), free)
    return chosen


def _first_free(
    candidates: Iterable[int],
    offsets: Iterable[int],
    taken: Collection[int],
    free: Callable[[int], bool],
) -> int:
    for port in candidates:
        if port not in taken and all(free(port + offset) for offset in offsets):
            return port
    raise PortTakenError(
        "No loopback port is free.", "End some of the servers on this machine, then try again."
    )
