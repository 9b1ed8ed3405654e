"""The whole embedded stack as a test's users start it: `myspinbot up` on a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

SERVICES = ("gateway", "planner", "projector", "gpu_runner")
_START_S = 90.0


@dataclass(slots=True)
class RunningStack:
    """A stack, its address, and the means to break it."""

    home: Path
    process: subprocess.Popen[str]
    api: str

    def pid_of(self, service: str) -> int:
        """The process that runs a service now."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if f"{service}.main" in child.cmdline():
                    return child.pid
        raise RuntimeError(f"{service} does not run")

    def kill(self, service: str) -> int:
        """End a service at once, as a crash would; returns its process id."""
        pid = self.pid_of(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_all(self) -> None:
        """End the supervisor at once."""
        self.process.kill()
        self.process.wait()

    def status(self, job: str) -> dict[str, Any]:
        """`GET /api/status`, asked again while the gateway is away."""
        return self.get(f"/api/status/{job}")

    def get(self, path: str) -> dict[str, Any]:
        """A GET that waits for the gateway to come back."""
        deadline = time.monotonic() + 60
        while True:
            try:
                reply = httpx.get(self.api + path, timeout=20)
                if reply.status_code < 500:
                    return dict(reply.json())
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer to GET {path}")
            time.sleep(0.2)

    def assert_views_match_log(self) -> None:
        """Fail unless the live views are, row by row, what the log makes of them."""
        command = [sys.executable, "-m", "myspinbot.main", "replay", "--check"]
        command += ["--home", str(self.home)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def history(self, job: str) -> list[dict[str, Any]]:
        """The job's events as structured CloudEvents, from the log itself."""
        command = [sys.executable, "-m", "myspinbot.main", "events", "tail", "--json"]
        command += [job, "--home", str(self.home), "--no-follow"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return [json.loads(line) for line in told.stdout.splitlines()]


@contextlib.contextmanager
def running_stack(home: Path, options: Sequence[str] = ()) -> Iterator[RunningStack]:
    """A stack that is ready; stopped cleanly at the end."""
    command = [sys.executable, "-m", "myspinbot.main", "up", "--home", str(home), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack = RunningStack(home, process, "")
    try:
        assert process.stdout is not None
        stack.api = process.stdout.readline().strip()
        if not stack.api:
            raise RuntimeError(f"the stack did not start: see {home / 'logs'}")
        yield stack
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
