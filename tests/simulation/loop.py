"""An event loop whose time is made up: it never waits, but sets the clock to what is next.

Whatever runs on it runs in the same order each time: tasks and futures are told apart by the order
in which they were made, and not by their place in memory, wherever a set of them is gone through.
A task belongs to the life (`tests.simulation.lives`) that started it, which may hold it back.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Holder(Protocol):
    """What may keep its own work from going on."""

    frozen: bool
    held: list[asyncio.Handle]
    tasks: dict[asyncio.Task[Any], None]


HOLDER: contextvars.ContextVar[Holder | None] = contextvars.ContextVar("holder", default=None)


class NothingLeftError(Exception):
    """Everybody waits for somebody else, for ever."""


class _Future(asyncio.Future[Any]):
    def __init__(self, loop: VirtualLoop) -> None:
        self._number = next(loop.numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class _Task(asyncio.Task[Any]):
    def __init__(self, coro: Coroutine[Any, Any, Any], loop: VirtualLoop, **options: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class _Handle(asyncio.Handle):
    def _run(self) -> None:
        holder = self._context.get(HOLDER)
        if holder is not None and holder.frozen:
            holder.held.append(self)
        else:
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self) -> None:
        holder = self._context.get(HOLDER)
        if holder is not None and holder.frozen:
            holder.held.append(self)
        else:
            super()._run()


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that is its own selector: to select is to let time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self._now = 0.0
        self._selector = self
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass until the next thing that is due."""
        if timeout is None:
            raise NothingLeftError
        self._now += timeout
        return []

    def _process_events(self, _events: list[Any]) -> None:
        """There are none from outside."""

    def _write_to_self(self) -> None:
        """No other thread need wake this one: there is none."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future that is told apart by when it was made."""
        return _Future(self)

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Done at once, as a thread's turn would not be the same each time."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            future.set_exception(error)
        return future

    def _call_soon(
        self, callback: Any, args: Any, context: contextvars.Context | None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Any,
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop's."""
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Run what was held, in its order."""
        self._ready.extend(handles)


def _make_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualLoop)
    task = _Task(coro, loop, **options)
    context = options.get("context")
    holder = context.get(HOLDER) if context is not None else HOLDER.get()
    if holder is not None:
        holder.tasks[task] = None
        task.add_done_callback(lambda done: holder.tasks.pop(done, None))
    return task
