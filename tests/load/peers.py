"""Other systems at the same work, for `make bench-jobs`: three stages, durable, readable.

Each is a script that starts its own servers, measures, and appends a line of JSON to
`results.jsonl`. All that are compared keep a job through a power cut, as we do.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.goals import Goals

_FASTSTREAM = "FastStream"
_FLOOR = "raw nats-py, the floor"
_SCRIPTS = (
    (_FLOOR, "nats", "nats_raw.py", "always", "pull"),
    (_FASTSTREAM, "nats", "faststream_nats.py", "always"),
    ("Dramatiq and Redis", "celery", "dramatiq_redis.py", "always"),
    ("Celery and Redis", "celery", "celery_redis.py", "always", "prefork"),
    ("LangGraph and SQLite", "langgraph", "langgraph_bench.py", "sync"),
    ("DBOS and PostgreSQL", "dbos", "dbos_bench.py", "postgres", "inproc"),
    ("Temporal", "temporal", "temporal_bench.py", "activity"),
)
_LONGEST_S = 900


@dataclass(frozen=True, slots=True)
class Run:
    """What one job costs: latencies one by one, and all at once what goes through."""

    p50_ms: float
    p99_ms: float
    jobs_per_s: float
    cpu_ms: float
    """Processor time of servers, workers and client for a job, all at once."""

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:7.1f} ms   p99 {self.p99_ms:7.1f} ms   {self.jobs_per_s:7.1f} jobs/s"
            f"   {self.cpu_ms:6.1f} ms of processor time a job"
        )


@dataclass(frozen=True, slots=True)
class Peer:
    """A system, and the script that measures it."""

    name: str
    command: tuple[str, ...]
    folder: Path

    def run(self) -> Run | None:
        """Measure it once; None, and why is printed, if it did not work."""
        results = self.folder / "results.jsonl"
        before = len(results.read_text().splitlines()) if results.exists() else 0
        try:
            ran = subprocess.run(
                self.command,
                env={**os.environ, "PERF": str(self.folder)},
                capture_output=True,
                text=True,
                timeout=_LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"{self.name} was not done after {_LONGEST_S} s", file=sys.stderr)
            return None
        lines = results.read_text().splitlines()[before:] if results.exists() else []
        if ran.returncode or not lines:
            print(f"{self.name} failed: {ran.stderr[-500:]}", file=sys.stderr)
            return None
        told = json.loads(lines[-1])
        latency, cpu_ms = told["lat_ms"], told["cpu_ms_per_job_load"]
        return Run(latency["p50"], latency["p99"], told["jobs_s"], cpu_ms)


def found(scripts: Path, folder: Path) -> tuple[Peer, ...]:
    """Those whose virtual environment is in `folder`/venv; others are named and left out."""
    peers = []
    for name, environment, script, *words in _SCRIPTS:
        python = folder.absolute() / "venv" / environment / "bin" / "python"
        if python.exists():
            command = (str(python), str(scripts.absolute() / script), *words)
            peers.append(Peer(name, command, folder.absolute()))
        else:
            print(f"{name} is left out: there is no {python}", file=sys.stderr)
    return tuple(peers)


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        *(
            statistics.median(getattr(run, figure) for run in runs)
            for figure in ("p50_ms", "p99_ms", "jobs_per_s", "cpu_ms")
        )
    )


def judged(ours: Run, others: Mapping[str, Run]) -> Goals:
    """Our figures against those of the same run; the floor is no peer."""
    goals = Goals("jobs")
    goals.at_most("p99 beside p50", ours.p99_ms / ours.p50_ms, 3, "x")
    real = {name: run for name, run in others.items() if name != _FLOOR}
    if fast := real.get(_FASTSTREAM):
        goals.at_most("p50 beside FastStream's", ours.p50_ms / fast.p50_ms, 2, "x")
        goals.at_most("processor time beside FastStream's", ours.cpu_ms / fast.cpu_ms, 2, "x")
    for name, run in real.items():
        if name != _FASTSTREAM:
            goals.at_most(f"p50 beside that of {name}", ours.p50_ms / run.p50_ms, 1, "x")
    if real:
        best = max(run.jobs_per_s for run in real.values())
        goals.at_least("jobs/s beside the best peer's", ours.jobs_per_s / best, 1.2, "x")
    return goals
