"""The supervisor: starts the programs of a stack, watches them, and stops them in order.

It only carries out what `supervision` decides and tells it what happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from myspinbot.embedded import supervision
from myspinbot.embedded.processes import (
    Program,
    ask_to_stop,
    describe_end,
    kill_group,
    last_words,
    rotate,
    size_of,
    spawn,
)
from myspinbot.embedded.supervision import Action, State, Verb
from myspinbot.errors import CommandError

PROBE_S = 0.03

Tell = Callable[..., None]
"""Told what happens as an event's name and its fields, such as `("process.ready", program=…)`."""


class StackFailedError(CommandError):
    """A program of the stack cannot be started."""


class Supervisor:
    """Runs some programs until it is told to stop."""

    def __init__(
        self,
        programs: Sequence[Program],
        logs: Path,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._programs = {program.name: program for program in programs}
        self._ties = {program.name: program.ties for program in programs}
        self._states = {name: State() for name in self._programs}
        self._processes: dict[str, Process] = {}
        self._logs = logs
        self._log_starts: dict[str, int] = {}
        self._tell = tell
        self._clock = clock
        self._stirred = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def states(self) -> Mapping[str, State]:
        """How each program stands now."""
        return dict(self._states)

    def stop(self) -> None:
        """Begin to stop everything; `run` returns when it is done."""
        self._stopping = True
        self._stirred.set()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Run everything; `on_ready` is called once, when all of it first does its work.

        Raises StackFailedError, with everything stopped again, if a program cannot start.
        """
        failure: StackFailedError | None = None
        announced = False
        try:
            while not self._done():
                self._stirred.clear()
                now = self._clock()
                for action in supervision.decide(
                    self._ties, self._states, now, stopping=self._stopping
                ):
                    await self._act(action)
                if not announced and supervision.all_ready(self._states):
                    announced = True
                    on_ready()
                if failure is None and (failure := self._hopeless()) is not None:
                    self.stop()
                await self._pause()
        finally:
            self._abandon()
        if failure is not None:
            raise failure

    def _done(self) -> bool:
        return self._stopping and not any(state.alive for state in self._states.values())

    async def _pause(self) -> None:
        """Until something happens, or it is time for something."""
        due = supervision.next_time(self._states)
        timeout = None if due is None else max(due - self._clock(), 0.0)
        if timeout == float("inf"):
            timeout = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if not self._done():
                    await self._stirred.wait()

    async def _act(self, action: Action) -> None:
        name = action.program
        match action.verb:
            case Verb.START:
                await self._start(name)
            case Verb.STOP:
                self._states[name] = supervision.told_to_stop(self._states[name], self._clock())
                ask_to_stop(self._processes[name])
            case Verb.KILL:
                self._tell("process.killed", program=name)
                self._states[name] = supervision.told_to_die(self._states[name])
                kill_group(self._processes[name].pid)

    async def _start(self, name: str) -> None:
        program = self._programs[name]
        state = self._states[name]
        log_file = self._log_file(name)
        rotate(log_file)
        self._log_starts[name] = size_of(log_file)
        try:
            process = await spawn(program, log_file)
        except OSError as error:
            self._tell("process.unstartable", program=name, detail=str(error))
            self._states[name] = supervision.ended(state, 127, self._clock())
            return
        self._processes[name] = process
        self._states[name] = supervision.started(state, self._clock())
        self._tell("process.started", program=name, pid=process.pid, earlier_deaths=state.deaths)
        self._spawn_task(self._watch(name, process))

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, name: str, process: Process) -> None:
        """From the start of a process to its end."""
        probing = asyncio.create_task(self._probe(name))
        try:
            status = await process.wait()
        finally:
            probing.cancel()
        # What it has started must not go on without it.
        kill_group(process.pid)
        before = self._states[name]
        self._states[name] = after = supervision.ended(before, status, self._clock())
        if after.phase is supervision.Phase.STOPPED:
            self._tell("process.stopped", program=name, how=describe_end(status))
        else:
            self._tell(
                "process.died",
                program=name,
                how=describe_end(status),
                deaths=after.deaths,
                again_in_s=round(after.until - after.since, 1),
                last_words=self._last_words(name)[-1:],
            )
        self._stirred.set()

    async def _probe(self, name: str) -> None:
        """Ask until the program is ready."""
        begun = self._clock()
        while True:
            if await self._programs[name].ready():
                break
            await asyncio.sleep(PROBE_S)
        now = self._clock()
        self._states[name] = supervision.became_ready(self._states[name], now)
        deaths = self._states[name].deaths
        took = round(now - begun, 2)
        self._tell("process.ready", program=name, after_s=took, earlier_deaths=deaths)
        self._stirred.set()

    def _hopeless(self) -> StackFailedError | None:
        for name, state in self._states.items():
            if state.hopeless and not self._stopping:
                lines = "\n  ".join(self._last_words(name))
                how = describe_end(state.status or 0)
                return StackFailedError(
                    f"The {name} cannot be started ({how}). Its last words:\n  {lines}",
                    f"Mend what its log says, {self._log_file(name)}, then start again.",
                )
        return None

    def _log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _last_words(self, name: str) -> list[str]:
        return last_words(self._log_file(name), self._log_starts[name])

    def _abandon(self) -> None:
        """Leave nothing behind, also when the supervisor itself fails."""
        for name, state in self._states.items():
            if state.alive:
                kill_group(self._processes[name].pid)
        for task in self._tasks:
            task.cancel()
