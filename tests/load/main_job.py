"""`make bench`: the main job on the sample input, from an empty folder to the video.

Everything is measured in one run of the real stack: how soon it is ready, how long the job
takes, how fast its stages compute, and what broker and services keep in memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.support.goals import Goals
from tests.support.samples import SAMPLES, post_generate
from tests.support.stack import RunningStack, running_stack

MIB = 1 << 20
_STARTS = 3


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the stack (default: a new one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ready_s = [seconds_to_ready(Path(folder) / str(number)) for number in range(_STARTS - 1)]
        begun = time.monotonic()
        with running_stack(arguments.home or Path(folder) / "job") as stack:
            ready_s.append(time.monotonic() - begun)
            print("ready after", ", ".join(f"{each:.2f} s" for each in ready_s))
            measure(stack, statistics.median(ready_s))


def seconds_to_ready(home: Path) -> float:
    """From the command to its word that all is ready, on a new folder."""
    begun = time.monotonic()
    with running_stack(home):
        return time.monotonic() - begun


@dataclass(frozen=True, slots=True)
class JobDone:
    """A main job: seconds from upload to its end, and its stages by id, as the gateway says."""

    seconds: float
    stages: dict[str, dict[str, Any]]


def job_done(stack: RunningStack) -> JobDone:
    """The main job on the sample input, to its end.

    Raises:
        SystemExit: the job failed, so that no figure of it means anything.

    """
    script = (SAMPLES / "script.txt").read_text()
    begun = time.monotonic()
    # Its own seed, so that nothing of an earlier run is reused.
    job = post_generate(stack.api, script=script, params={}, seed=str(time.time_ns())).json()
    job_id = job["jobId"]
    while (status := stack.status(job_id)["status"]) not in ("completed", "failed"):
        time.sleep(0.25)
    if status == "failed":
        raise SystemExit("the main job failed")
    total_s = time.monotonic() - begun
    told = stack.get(f"/api/jobs/{job_id}")
    return JobDone(total_s, {stage["id"]: stage for stage in told["stages"]})


def measure(stack: RunningStack, ready_s: float) -> None:
    """The job, its figures, the table."""
    peak = MemoryPeak(stack)
    done = job_done(stack)
    peak.stop()
    stages = done.stages
    goals = Goals("main-job")
    goals.at_most(f"stack ready, median of {_STARTS} starts", ready_s, 5, "s")
    goals.at_most("main job, upload to MP4", done.seconds, 120, "s")
    lora, render = stages["train_lora"]["metrics"], stages["render_video"]["metrics"]
    goals.at_least("LoRA training", lora["steps_per_second"], 3, "steps/s")
    goals.at_least("rendering at 512²", render["fps_rendered"], 25, "frames/s")
    goals.at_most("broker and four services, peak PSS", peak.bytes / MIB, 400, "MiB")
    for name, stage in stages.items():
        print(f"{name:<24} {seconds(stage):7.1f} s")
    print(f"speech: {stages['synthesize_speech']['metrics'].get('duration', 0):.1f} s")
    for name, size in sorted(peak.parts.items()):
        print(f"{name:<24} {size / MIB:7.1f} MiB")
    goals.print()


def seconds(stage: dict[str, Any]) -> float:
    """How long a stage took, from its start to its end."""
    begun, ended = (datetime.fromisoformat(stage[key]) for key in ("startedAt", "endedAt"))
    return (ended - begun).total_seconds()


class MemoryPeak:
    """The largest sum of proportional set sizes of broker and services, watched by a thread."""

    def __init__(self, stack: RunningStack) -> None:
        self.bytes = 0
        self.parts: dict[str, int] = {}
        self._supervisor = psutil.Process(stack.process.pid)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            parts = {}
            # Only its own children: stages are grandchildren, and the object store is not counted.
            for child in self._supervisor.children():
                try:
                    name = self._name(child.cmdline())
                    if name:
                        parts[name] = child.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue
            if sum(parts.values()) > self.bytes:
                self.bytes, self.parts = sum(parts.values()), parts

    @staticmethod
    def _name(command: list[str]) -> str | None:
        if any(part.endswith("nats-server") for part in command[:1]):
            return "nats-server"
        return next((part for part in command if part.endswith(".main")), None)


if __name__ == "__main__":
    main()
