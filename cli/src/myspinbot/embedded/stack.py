"""One embedded stack, from taking its home folder to giving it back.

This is where its programs are put together; `run_stack` is all that a command needs.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from myspinbot.embedded import broker, objects, ports, services
from myspinbot.embedded.home import Facing, Home, StackNote
from myspinbot.embedded.journal import Journal
from myspinbot.embedded.processes import STACK_VARIABLE, Program, kill_leftovers
from myspinbot.embedded.supervisor import Supervisor, Tell


@dataclass(slots=True)
class Stack:
    """A stack that is held by this process and may run."""

    note: StackNote
    supervisor: Supervisor

    def stop(self) -> None:
        """Begin to stop; `run_stack` returns when everything has."""
        self.supervisor.stop()


async def run_stack(
    home: Home,
    http_port: int | None,
    on_start: Callable[[Stack], None],
    on_ready: Callable[[Stack], None],
    *,
    facing: Facing | None = None,
    environment: Mapping[str, str] = os.environ,
    tell: Tell | None = None,
) -> None:
    """Run the stack of a home folder until `Stack.stop` is called.

    `on_start` gets the stack before anything runs, `on_ready` when all of it first does its
    work. Raises HomeHeldError, PortTakenError or StackFailedError.
    """
    with home.hold(), Journal(home.logs / "supervisor.log") as journal:

        def told(event: str, **fields: object) -> None:
            journal.tell(event, **fields)
            if tell is not None:
                tell(event, **fields)

        before = home.note()
        if killed := kill_leftovers(before.stack):
            told("stack.leftovers_killed", pids=killed)
        note = StackNote(
            stack=secrets.token_hex(8),
            pid=os.getpid(),
            since=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
            ports=ports.choose(before.ports, http_port, secrets.randbelow(1 << 16)),
            facing=facing or Facing(),
        )
        home.write_note(note)
        supervisor = Supervisor(_programs(home, note, environment, told), home.logs, told)
        stack = Stack(note, supervisor)

        def ready() -> None:
            stack.note = replace(note, ready=True)
            home.write_note(stack.note)
            told("stack.ready", api=note.api)
            on_ready(stack)

        told("stack.started", pid=note.pid, home=str(home.root))
        on_start(stack)
        try:
            await supervisor.run(ready)
        finally:
            home.write_note(replace(note, pid=0, ready=False))
            told("stack.stopped")


def _programs(
    home: Home, note: StackNote, environment: Mapping[str, str], tell: Tell
) -> list[Program]:
    base = services.inherited(environment) | {STACK_VARIABLE: note.stack}
    keys = objects.ensure_keys(home)
    seeds = broker.seed_files(home)
    return [
        broker.program(home, note.ports["nats"], note.ports["nats_monitor"], base, tell),
        objects.program(home, note.ports, base),
        *services.programs(
            home, note.ports, seeds=seeds, keys=keys, facing=note.facing, environment=base
        ),
    ]
