"""The asynchronous client for programs that know nothing of asyncio.

Each blocking method is made from its asynchronous twin by one of two functions, which carry
signature and documentation over. The work is done by an event loop in a thread of its own,
so that it also goes where a loop runs already, as in notebooks.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Twin = TypeVar("Twin")


class LoopThread:
    """An event loop in a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="myspinbot-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Do the work there and wait for it; Ctrl-C here cancels it, and waits for its end."""
        tasks: list[asyncio.Task[R]] = []
        ended = threading.Event()

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda _task: ended.set())

        def cancel() -> None:
            tasks[0].cancel()

        self._loop.call_soon_threadsafe(begin)
        try:
            ended.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(cancel)
            ended.wait()
            raise
        return tasks[0].result()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Blocking(Generic[Twin]):
    """The base of what has an asynchronous twin that does its work."""

    def __init__(self, twin: Twin, loop: LoopThread) -> None:
        self._twin = twin
        self._loop = loop


def blocking(
    method: Callable[Concatenate[Twin, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[Twin], P], R]:
    """The method that waits for what `method` returns."""

    @functools.wraps(method)
    def wait(self: Blocking[Twin], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.run(method(self._twin, *args, **kwargs))

    return wait


def iterating(
    method: Callable[Concatenate[Twin, P], AsyncGenerator[R]],
) -> Callable[Concatenate[Blocking[Twin], P], Iterator[R]]:
    """The method that waits for each item that `method` yields."""

    @functools.wraps(method)
    def iterate(self: Blocking[Twin], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._twin, *args, **kwargs)

        async def following() -> list[R]:
            """The next item, or an empty list after the last."""
            try:
                return [await anext(items)]
            except StopAsyncIteration:
                return []

        try:
            while found := self._loop.run(following()):
                yield from found
        finally:
            self._loop.run(items.aclose())

    return iterate
