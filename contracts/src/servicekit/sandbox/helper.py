"""A confined process as who asks it sees it.

It is started when it is needed, stays warm for a while, and gives its memory back after that.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any, cast

from servicekit.sandbox import wire
from servicekit.sandbox.confinement import Limits

# Many threads would each reserve memory, which is limited.
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
# Where a system keeps its libraries elsewhere.
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")


_WARM_S = 20.0


class ConfinedError(Exception):
    """The process could not do it: `reason` is `memory`, `died`, `time`, or what was raised."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a confined process could not do what was asked: {reason}")
        self.reason = reason


class Helper:
    """One confined process; safe to use from several threads, which wait for each other."""

    def __init__(self, module: str, limits: Limits) -> None:
        """`module` is one that calls `serve` when it is run."""
        self._module = module
        self._limits = limits
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._rest: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, if it runs."""
        return self._process.pid if self._process else None

    def ask(
        self, wish: Mapping[str, Any], data: bytes | memoryview, most_bytes: int
    ) -> tuple[dict[str, Any], bytearray]:
        """What it answers, and up to `most_bytes` that it sends with it.

        Raises:
            ConfinedError: it could not, within its limits.

        """
        with self._turn:
            self._stay()
            process = self._process or self._start()
            late = threading.Event()

            def end() -> None:
                late.set()
                process.kill()

            timer = threading.Timer(self._limits.patience_s, end)
            timer.start()
            try:
                answer, made = _asked(process, wish, data, most_bytes)
            except (wire.BrokenOffError, OSError) as error:
                self._end()
                raise ConfinedError("time" if late.is_set() else "died") from error
            finally:
                timer.cancel()
            self._rest = threading.Timer(_WARM_S, self.close)
            self._rest.daemon = True
            self._rest.start()
        if "made" not in answer:
            raise ConfinedError(str(answer.get("failed", "died")))
        return dict(answer["made"]), made

    def close(self) -> None:
        """End it."""
        with self._turn:
            self._stay()
            self._end()

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            # Isolated: nothing of the environment or of this folder leads its imports.
            [sys.executable, "-I", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**kept, **_ENVIRONMENT},
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            # What it did not read any more cannot be sent.
            with contextlib.suppress(OSError):
                cast("IO[bytes]", stream).close()


def _asked(
    process: subprocess.Popen[bytes],
    wish: Mapping[str, Any],
    data: bytes | memoryview,
    most_bytes: int,
) -> tuple[dict[str, Any], bytearray]:
    to, of = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    wire.put_json(to, wish)
    wire.put(to, data)
    to.flush()
    made = bytearray()
    while piece := wire.get(of, most_bytes - len(made)):
        if made:
            made += piece
        else:
            # The usual answer is one piece, which need not be copied.
            made = piece
    return wire.get_json(of), made
