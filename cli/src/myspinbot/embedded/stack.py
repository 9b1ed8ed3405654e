"""One embedded stack, from taking its home folder to giving it back.

This is where its programs are put together; `run_stack` is all that a command needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from myspinbot.embedded import broker, metrics, objects, ports, services
from myspinbot.embedded.home import Facing, Home, StackNote
from myspinbot.embedded.identity import ensure_identity
from myspinbot.embedded.journal import Journal
from myspinbot.embedded.notary import StackNotary
from myspinbot.embedded.processes import STACK_VARIABLE, Program, kill_leftovers
from myspinbot.embedded.supervisor import Supervisor, Tell


@dataclass(slots=True)
class Stack:
    """A stack that is held by this process and may run."""

    note: StackNote
    supervisor: Supervisor
    notary: StackNotary | None = None

    def stop(self) -> None:
        """Begin to stop; `run_stack` returns when everything has."""
        if self.notary is not None:
            self.notary.sign_for_the_last_time()
        self.supervisor.stop()


Parts = Callable[[Home, StackNote, Mapping[str, str], Tell], list[Program]]
"""Which programs of a stack are run."""


async def run_stack(
    home: Home,
    http_port: int | None,
    on_start: Callable[[Stack], None],
    on_ready: Callable[[Stack], None],
    *,
    facing: Facing | None = None,
    environment: Mapping[str, str] = os.environ,
    tell: Tell | None = None,
    parts: Parts | None = None,
) -> None:
    """Run the stack of a home folder, or some `parts` of it, until `Stack.stop` is called.

    `on_start` gets the stack before anything runs, `on_ready` when all of it first does its
    work. Raises HomeHeldError, NewerHomeError, PortTakenError or StackFailedError.
    """
    with (
        home.hold(),
        Journal(home.logs / "supervisor.log") as journal,
        contextlib.closing(ports.Claims()) as claims,
    ):

        def told(event: str, **fields: object) -> None:
            journal.tell(event, **fields)
            if tell is not None:
                tell(event, **fields)

        home.claim()
        before = home.note()
        if killed := kill_leftovers(before.stack):
            told("stack.leftovers_killed", pids=killed)
        note = StackNote(
            stack=secrets.token_hex(8),
            pid=os.getpid(),
            since=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            ports=ports.choose(before.ports, http_port, secrets.randbelow(1 << 16), claims.take),
            facing=facing or Facing(),
        )
        home.write_note(note)
        supervisor = Supervisor((parts or whole)(home, note, environment, told), home.logs, told)
        # Who runs only parts of a stack copies its log, or fills it.
        notary = _notary(home, note, told) if parts is None else None
        stack = Stack(note, supervisor, notary)

        def ready() -> None:
            stack.note = replace(note, ready=True)
            home.write_note(stack.note)
            told("stack.ready", api=note.api)
            on_ready(stack)
            if notary is not None:
                notary.begin()

        told("stack.started", pid=note.pid, home=str(home.root))
        on_start(stack)
        try:
            async with _metrics(note, supervisor) if parts is None else contextlib.nullcontext():
                await supervisor.run(ready)
        finally:
            if notary is not None:
                await notary.end()
            home.write_note(replace(note, pid=0, ready=False))
            told("stack.stopped")


def _metrics(note: StackNote, supervisor: Supervisor) -> AbstractAsyncContextManager[None]:
    ports = services.admin_ports(note.ports)
    return metrics.served(note.ports["metrics"], ports, lambda: supervisor.states)


def _notary(home: Home, note: StackNote, tell: Tell) -> StackNotary:
    return StackNotary(note.nats, broker.seed_files(home)["notary"], tell)


@contextlib.asynccontextmanager
async def kept_running(home: Home, parts: Parts | None = None) -> AsyncIterator[StackNote]:
    """The stack of a home folder, ready, while the context lasts; raises as `run_stack`."""
    stack: asyncio.Future[Stack] = asyncio.get_running_loop().create_future()
    ready = asyncio.Event()
    running = asyncio.create_task(
        run_stack(home, None, stack.set_result, lambda _stack: ready.set(), parts=parts)
    )
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            await running
        yield stack.result().note
    finally:
        if stack.done() and not running.done():
            stack.result().stop()
            await running


def whole(home: Home, note: StackNote, environment: Mapping[str, str], tell: Tell) -> list[Program]:
    """All programs of a stack."""
    base = _base(note, environment)
    return [
        *storage(home, note, environment, tell),
        *services.programs(
            home,
            note.ports,
            seeds=broker.seed_files(home),
            keys=objects.ensure_keys(home),
            credentials=ensure_identity(home),
            facing=note.facing,
            environment=base,
        ),
    ]


def storage(
    home: Home, note: StackNote, environment: Mapping[str, str], tell: Tell
) -> list[Program]:
    """Broker and object store, for who copies what is in them."""
    return _storage(home, note, environment, tell, to_be_filled=False)


def empty_storage(
    home: Home, note: StackNote, environment: Mapping[str, str], tell: Tell
) -> list[Program]:
    """Broker and object store of a new home that is filled from a backup."""
    return _storage(home, note, environment, tell, to_be_filled=True)


def _storage(
    home: Home,
    note: StackNote,
    environment: Mapping[str, str],
    tell: Tell,
    *,
    to_be_filled: bool,
) -> list[Program]:
    base = _base(note, environment)
    nats, monitor = note.ports["nats"], note.ports["nats_monitor"]
    return [
        broker.program(home, nats, monitor, base, tell, to_be_filled=to_be_filled),
        objects.program(home, note.ports, base),
    ]


def _base(note: StackNote, environment: Mapping[str, str]) -> dict[str, str]:
    return services.inherited(environment) | {STACK_VARIABLE: note.stack}
