"""A process of this package's own beside this one, to which and from which objects are sent.

For a long way along the log, which is work for Python from end to end: two threads would only wait
for each other (docs/adr/0016-rebuild-speed.md). It reads objects from its standard input and
writes objects to its standard output, and ends when there is no more to read: it cannot outlive
who started it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any, cast

LONG = 20_000
"""Events on the way from which on it pays to start a process."""


class Beside:
    """The process, as who started it sees it."""

    def __init__(self, module: str) -> None:
        """`module` is one of this package that makes itself a `Parent`."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._sending = cast("IO[bytes]", self._process.stdin)
        self._receiving = cast("IO[bytes]", self._process.stdout)
        # A thread for each way, in which objects queue: the event loop is busy with other events,
        # and the process would wait for it between any two objects.
        self._sender, self._receiver = ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    async def send(self, value: object) -> None:
        """Give it an object; ProcessDiedError if it has ended."""
        await asyncio.get_running_loop().run_in_executor(self._sender, self._send, value)

    async def ask(self, value: object) -> Any:
        """Give it an object, and return what it answers; ProcessDiedError if it has ended.

        Who asks again before the answer is there gets the answers in the order of the questions.
        """
        loop = asyncio.get_running_loop()
        sent = loop.run_in_executor(self._sender, self._send, value)
        received = loop.run_in_executor(self._receiver, self._receive)
        return (await asyncio.gather(sent, received))[1]

    def _send(self, value: object) -> None:
        try:
            # In one piece: between any two pieces the other threads' turns would come.
            self._sending.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
            self._sending.flush()
        except OSError as error:
            raise ProcessDiedError(self._process.wait()) from error

    def _receive(self) -> Any:
        try:
            return pickle.load(self._receiving)  # noqa: S301 - from a process of our own
        except (EOFError, pickle.UnpicklingError) as error:
            raise ProcessDiedError(self._process.wait()) from error

    async def end(self) -> None:
        """End it, whatever it is at, and wait until it has."""
        self._process.kill()
        for threads in (self._sender, self._receiver):
            threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._process.wait)
        self._receiving.close()
        # What nobody has read of the last object cannot be sent any more.
        with suppress(BrokenPipeError):
            self._sending.close()


class ProcessDiedError(OSError):
    """A process that was started to help has ended of itself."""

    def __init__(self, status: int) -> None:
        super().__init__(f"a process that was started to help has ended ({status})")


class Parent:
    """Who started this process, as it sees them."""

    def __init__(self) -> None:
        # A Ctrl-C in the terminal is for who started it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._sending = os.fdopen(os.dup(1), "wb")
        # Whatever else is printed must not come between the objects.
        os.dup2(2, 1)

    def received(self) -> Iterator[Any]:
        """All objects, until there will be no more."""
        while True:
            try:
                yield pickle.load(sys.stdin.buffer)  # noqa: S301 - from who started us
            except EOFError:
                return

    def send(self, value: object) -> None:
        """Give them an object."""
        self._sending.write(pickle.dumps(value))
        self._sending.flush()
