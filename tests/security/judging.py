"""How a gateway takes what it is sent: what it answers, and what that costs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

MOST_SECONDS = 2.0
"""Of a processor, for whatever is refused."""
MOST_BYTES = 256 << 20
"""Of memory, beyond what the process had before."""


@dataclass(slots=True)
class Cost:
    """What a process took for something."""

    cpu_s: float = 0.0
    peak_bytes: int = 0
    """Above what it had when it began."""


@contextlib.contextmanager
def costing(pid: int) -> Iterator[Cost]:
    """What a process takes until the context ends. Time on a clock would be others' too."""
    cost, process = Cost(), psutil.Process(pid)
    # The kernel forgets the peak so far: proc(5), clear_refs.
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before, had = process.cpu_times(), process.memory_info().rss
    yield cost
    after = process.cpu_times()
    cost.cpu_s = after.user + after.system - before.user - before.system
    cost.peak_bytes = peak_of(pid) - had


def peak_of(pid: int) -> int:
    """The most memory that a process has held, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"process {pid} has ended")


def assert_cheap(cost: Cost) -> None:
    """Fail if it was too much."""
    assert cost.cpu_s <= MOST_SECONDS, cost
    assert cost.peak_bytes <= MOST_BYTES, cost


def assert_problem(answer: httpx.Response, status: int, problem: str, about: str = "") -> None:
    """Fail unless this is a problem document (RFC 9457) of a kind, of use, and kept by nobody."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:500]
    told = answer.json()
    assert (answer.status_code, told["type"]) == (status, f"/problems/{problem}"), answer.text[:500]
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert told["detail"].startswith(about), told["detail"]
    assert told["remedy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "Traceback" not in answer.text
    # What was sent is not thrown back by the megabyte.
    assert len(answer.content) < 64 << 10
