"""What one training of `make bench-lora` tells of itself: when each step ended, and its memory."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

KIB = 1024
BATON = "BATON"
STEPS_OF_A_TURN = 10


@dataclass(slots=True)
class Told:
    """Notes of one process, written into `folder` at its end.

    Every few steps it gives its turn away and waits until it has it again, so that whatever else
    this machine does slows both trainings alike. The time waited is not counted.
    """

    folder: Path
    waited_s: float = 0.0
    ended_s: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    trained_bytes: int = 0

    def step(self, loss: float) -> None:
        """A step has ended."""
        # By the system's clock, as the start of a process is known in no other.
        self.ended_s.append(time.time() - self.waited_s)
        self.losses.append(loss)
        if len(self.losses) % STEPS_OF_A_TURN == 0:
            begun = time.perf_counter()
            self.trained_bytes = max(self.trained_bytes, peak_bytes())
            wait_for_turn(int(os.environ[BATON]))
            self.waited_s += time.perf_counter() - begun

    def write(self, **more: float) -> None:
        """Keep all for who started this process."""
        started_s = psutil.Process(os.getpid()).create_time()
        told = {
            "to_first_s": self.ended_s[0] - started_s,
            "to_last_s": self.ended_s[-1] - started_s,
            "step_s": per_step(self.ended_s),
            "trained_bytes": self.trained_bytes,
            "peak_bytes": peak_bytes(),
            "losses": self.losses,
            **more,
        }
        (self.folder / "told.json").write_text(json.dumps(told))


def wait_for_turn(descriptor: int) -> None:
    """Tell who started this process that the turn is over, and wait for the next one."""
    with socket.socket(fileno=os.dup(descriptor)) as baton:
        baton.sendall(b".")
        baton.recv(1)


def per_step(ended_s: list[float]) -> float:
    """Seconds of a step, the first not counted, which warms up."""
    return (ended_s[-1] - ended_s[0]) / (len(ended_s) - 1)


def peak_bytes() -> int:
    """The most that this process has held in memory since it began, and what its children, as of
    now, hold besides: what they share with nobody."""
    besides = sum(child.memory_full_info().uss for child in psutil.Process().children())
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB + besides
    raise OSError("this system does not tell the peak of a process")
