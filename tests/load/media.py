"""`make bench-media`: how fast speech and talking videos are made, and what length costs in memory.

The sample's script is spoken by the packaged voice, and the sample's first photo says it; each
stage in a new process, as the runner starts it. Run it while the machine has nothing else to do.

    python -m tests.load.media [--runs 3] [--minutes 5] [--no-job]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_runner.process import environment

from tests.load.main_job import job_done
from tests.support.goals import Goals
from tests.support.samples import SAMPLES, sample_photos
from tests.support.stack import running_stack

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
SPEAK = "gpu_runner.engines.world.synthesize_speech"
RENDER = "gpu_runner.engines.warp.render_video"
SQUARE: dict[str, Any] = {}
BROAD = {"aspect": "16:9", "size": 720}
# A resident set differs by this much from one moment to the next without growing.
FLAT = 1.1


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that was done: its folder, its metrics, and its peaks of memory by halves."""

    folder: Path
    metrics: dict[str, Any]
    peaks: tuple[int, int]

    @property
    def growth(self) -> float:
        """The second half's peak beside the first's."""
        first, second = self.peaks
        return second / first


class Stages:
    """Does stages, each in a folder of its own and a new process with all processors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def speak(self, text: str, **params: Any) -> Stage:
        """Have `text` spoken."""
        script = self._folder / "script.txt"
        script.write_text(text, "utf-8")
        return self._done(SPEAK, params, {"script": script})

    def render(self, speech: Stage, params: dict[str, Any]) -> Stage:
        """Have the sample's first photo say what was spoken."""
        spoken = {
            "speech": speech.folder / "speech.wav",
            "timings": speech.folder / "timings.json",
        }
        return self._done(RENDER, params, {"portrait": sample_photos()[0], **spoken})

    def _done(self, module: str, params: dict[str, Any], inputs: dict[str, Path]) -> Stage:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        work = {"params": params, "inputs": {name: str(path) for name, path in inputs.items()}}
        subprocess.run(
            [sys.executable, "-m", "tests.load.media_stage", module, folder, json.dumps(work)],
            cwd=ROOT,
            env={**os.environ, **environment(os.cpu_count() or 1)},
            check=True,
        )
        told = json.loads((folder / "told.json").read_text())
        return Stage(folder, told["metrics"], tuple(told["peaks"]))


def short(stages: Stages, runs: int, goals: Goals) -> Stage:
    """Speed, as medians of so many runs; gives one of the speeches."""
    text = (SAMPLES / "script.txt").read_text("utf-8")
    spoken = [stages.speak(text) for _ in range(runs)]
    speech = spoken[-1]
    print(f"speech: {speech.metrics['duration']:.1f} s")
    for name, params, least in (("512²", SQUARE, 40), ("1280 x 720", BROAD, 18)):
        rates = [stages.render(speech, params).metrics["fps_rendered"] for _ in range(runs)]
        told(f"rendering at {name}, frames/s", rates)
        goals.at_least(
            f"rendering at {name} with encoding", statistics.median(rates), least, "frames/s"
        )
    factors = [each.metrics["real_time_factor"] for each in spoken]
    told("speech, real-time factor", factors)
    goals.at_most("speech, real-time factor", statistics.median(factors), 0.5, "x")
    return speech


def long(stages: Stages, speech: Stage, minutes: float, goals: Goals) -> None:
    """Memory over a script of so many minutes."""
    text = (SAMPLES / "script.txt").read_text("utf-8").strip()
    times = math.ceil(60 * minutes / speech.metrics["duration"])
    # What listens to a finished speech is loaded at its end, whatever its length.
    spoken = stages.speak("\n\n".join([text] * times), check_words=False)
    rendered = stages.render(spoken, SQUARE)
    for name, stage in (("speech", spoken), ("rendering", rendered)):
        first, second = (peak / MIB for peak in stage.peaks)
        print(f"{name}: peak {first:.0f} MiB in the first half, {second:.0f} in the second")
        goals.at_most(
            f"{name} of {spoken.metrics['duration'] / 60:.1f} minutes: second half's peak",
            stage.growth,
            FLAT,
            "x",
        )


def job(folder: Path, goals: Goals) -> None:
    """The main job on the sample input."""
    with running_stack(folder / "job") as stack:
        goals.at_most("main job, upload to MP4", job_done(stack).seconds, 90, "s")


def told(what: str, values: list[float]) -> None:
    """The single values behind a median."""
    print(f"{what}: {', '.join(f'{value:.2f}' for value in values)}", flush=True)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--no-job", action="store_true", help="leave the main job out")
    given = parser.parse_args()
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    goals = Goals("bench-media")
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(Path(folder))
        speech = short(stages, given.runs, goals)
        long(stages, speech, given.minutes, goals)
        if not given.no_job:
            job(Path(folder), goals)
    goals.print()


if __name__ == "__main__":
    main()
