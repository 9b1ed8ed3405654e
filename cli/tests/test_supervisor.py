"""The supervisor with real processes: small ones, so that what they do is known."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from myspinbot.embedded.processes import STACK_VARIABLE, Program, kill_leftovers
from myspinbot.embedded.supervision import Ties
from myspinbot.embedded.supervisor import StackFailedError, Supervisor

# Writes its process id when it works, notes when it is asked to stop, and waits for that.
WORKER = """
import os, signal, sys
def stop(*_):
    open("stops", "a").write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + ".pid.new", "w").write(str(os.getpid()))
os.rename(sys.argv[1] + ".pid.new", sys.argv[1] + ".pid")
while True:
    signal.pause()
"""


class Told:
    """What the supervisor told, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = asyncio.Event()

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))
        self._more.set()

    async def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(30):
            while True:
                found = [fields for name, fields in self.events if name == event]
                if len(found) >= count:
                    return found
                self._more.clear()
                await self._more.wait()


def a_program(folder: Path, name: str, code: str = WORKER, ties: Ties | None = None) -> Program:
    async def ready() -> bool:
        return (folder / f"{name}.pid").exists()

    return Program(
        name=name,
        command=[sys.executable, "-c", code, name],
        environment=dict(os.environ),
        folder=folder,
        ready=ready,
        ties=ties or Ties(),
    )


async def while_running(
    supervisor: Supervisor, steps: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Run until ready, take the steps, stop, and wait for the end."""
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(ready.set))
    async with asyncio.timeout(60):
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if steps is not None and not running.done():
            await steps()
        supervisor.stop()
        await running


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pid_of(folder: Path, name: str) -> int:
    return int((folder / f"{name}.pid").read_text())


async def test_programs_start_after_what_they_need_and_stop_before_it(tmp_path: Path) -> None:
    told = Told()
    programs = [
        a_program(tmp_path, "gateway", ties=Ties(needs=("broker",), uses=("store",))),
        a_program(tmp_path, "store"),
        a_program(tmp_path, "broker"),
    ]
    await while_running(Supervisor(programs, tmp_path, told))
    happened = [(event, fields["program"]) for event, fields in told.events]
    ready = happened.index(("process.ready", "broker"))
    assert ready < happened.index(("process.started", "gateway"))
    stops = (tmp_path / "stops").read_text().split()
    assert stops[0] == "gateway"
    assert sorted(stops) == ["broker", "gateway", "store"]


async def test_what_was_killed_starts_again_and_why_is_told(tmp_path: Path) -> None:
    told = Told()
    supervisor = Supervisor([a_program(tmp_path, "planner")], tmp_path, told)

    async def kill() -> None:
        first = pid_of(tmp_path, "planner")
        (tmp_path / "planner.pid").unlink()
        os.kill(first, signal.SIGKILL)
        await told.wait_for("process.ready", 2)
        assert pid_of(tmp_path, "planner") != first

    await while_running(supervisor, kill)
    [death] = await told.wait_for("process.died")
    assert death["how"] == "signal SIGKILL"
    assert death["deaths"] == 1


async def test_a_program_that_cannot_start_ends_the_stack_with_its_last_words(
    tmp_path: Path,
) -> None:
    told = Told()
    broken = 'import json, sys; print(json.dumps({"event": "e", "detail": "no key"})); sys.exit(2)'
    programs = [a_program(tmp_path, "broker"), a_program(tmp_path, "runner", broken)]
    with pytest.raises(StackFailedError) as caught:
        await while_running(Supervisor(programs, tmp_path, told))
    assert "The runner cannot be started (exit status 2)" in caught.value.cause
    assert "e: no key" in caught.value.cause
    assert str(tmp_path / "runner.log") in caught.value.remedy
    assert not alive(pid_of(tmp_path, "broker"))


async def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    program = Program("store", ["/nowhere/weed"], {}, tmp_path, never)
    told = Told()
    with pytest.raises(StackFailedError, match="store cannot be started"):
        await while_running(Supervisor([program], tmp_path, told))
    assert told.events[0][0] == "process.unstartable"


async def test_what_a_program_has_started_dies_with_it(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('child', 'w').write(str(child.pid))\n" + WORKER
    )
    told = Told()
    supervisor = Supervisor([a_program(tmp_path, "runner", parent)], tmp_path, told)

    async def kill() -> None:
        child = int((tmp_path / "child").read_text())
        (tmp_path / "runner.pid").unlink()
        os.kill(told.events[0][1]["pid"], signal.SIGKILL)
        await told.wait_for("process.ready", 2)
        assert not alive(child)

    await while_running(supervisor, kill)


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_supervisor import a_program
from myspinbot.embedded.supervisor import Supervisor
programs = [a_program(Path.cwd(), name) for name in ("broker", "planner")]
supervisor = Supervisor(programs, Path.cwd(), lambda event, **fields: None)
asyncio.run(supervisor.run(lambda: print("ready", flush=True)))
"""


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(Path(__file__).parent)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        pids = [pid_of(tmp_path, name) for name in ("broker", "planner")]
        assert all(alive(pid) for pid in pids)
        watches = [os.pidfd_open(pid) for pid in pids]
        supervisor.kill()
    for watch in watches:
        # Readable when the process has ended.
        readable, _, _ = select.select([watch], [], [], 30)
        assert readable
        os.close(watch)
    assert not any(alive(pid) for pid in pids)


def test_what_outlived_its_stack_is_found_by_its_mark_and_killed() -> None:
    environment = {**os.environ, STACK_VARIABLE: "stack-of-this-test"}
    command = [sys.executable, "-c", "print('on', flush=True); input()"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as orphan:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        assert kill_leftovers("another-stack") == []
        assert kill_leftovers("") == []
        assert kill_leftovers("stack-of-this-test") == [orphan.pid]
        assert orphan.wait() == -signal.SIGKILL


async def test_logs_of_each_program_are_kept_in_a_file_of_its_own(tmp_path: Path) -> None:
    speaking = "import sys; print(sys.argv[1], 'speaks', flush=True)\n" + WORKER
    programs = [a_program(tmp_path, name, speaking) for name in ("planner", "gateway")]
    await while_running(Supervisor(programs, tmp_path, Told()))
    for name in ("planner", "gateway"):
        assert (tmp_path / f"{name}.log").read_text() == f"{name} speaks\n"
