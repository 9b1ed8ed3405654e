"""`make bench-lora`: the stage `train_lora` on the built-in base against a plain training script.

Both learn the sample's face crops on the same base with the same adapter, batch, steps, precision
and number of threads, by turns, each time in a new process. Ours is the whole stage as a runner's
child does it, with its checkpoints; the plain script is `lora_plain`.

    python -m tests.load.lora [--steps 150] [--runs 5] [--cpu]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_runner.engines.diffusion.lora import ATTENTION, CONVOLUTIONS
from gpu_runner.engines.diffusion.pictures import read_square
from gpu_runner.engines.mini.base import BASE
from gpu_runner.engines.mini.train_lora import Params
from gpu_runner.faces.photos import prepare_photos
from gpu_runner.media.pictures import write_picture

from tests.support.goals import Goals
from tests.support.samples import SAMPLES

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
TAIL = 50
LIBRARIES = "import torch, diffusers.models.unets.unet_2d_condition; "
PEAK = "from tests.load.lora_told import peak_bytes; print(peak_bytes())"


@dataclass(frozen=True, slots=True)
class Pair:
    """What two trainings told, one after the other."""

    own: dict[str, Any]
    plain: dict[str, Any]

    def ratio(self, name: str) -> float:
        """Our figure as a part of the other's."""
        return float(self.own[name] / self.plain[name])


def train(module: str, *given: str | Path) -> dict[str, Any]:
    """What a training in a process of its own told; it says no word before it is done."""
    with tempfile.TemporaryDirectory() as folder:
        *paths, settings = given
        command = [sys.executable, "-m", module, *paths, folder, settings]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        told: dict[str, Any] = json.loads((Path(folder) / "told.json").read_text())
        return told


def once(pictures: Path, steps: int) -> Pair:
    """Both trainings, ours first."""
    params = Params(steps=steps)
    own = {"steps": steps, "sample_every": 0}
    plain = {
        "steps": steps,
        "batch_size": params.batch_size,
        "rank": params.rank,
        "targets": [*ATTENTION, *CONVOLUTIONS],
        "learning_rate": params.peak_rate,
        "weight_decay": params.weight_decay,
        "warmup": params.warmup_steps,
        "caption": f"portrait, {params.trigger_word}",
        "side": 64,
        "seed": 1,
    }
    pair = Pair(
        train("tests.load.lora_own", pictures, json.dumps(own)),
        train("tests.load.lora_plain", BASE, pictures, json.dumps(plain)),
    )
    for name, told in (("stage", pair.own), ("plain script", pair.plain)):
        print(
            f"  {name:<13} {told['step_s'] * 1000:6.0f} ms a step,"
            f" {told['core_s'] * 1000:6.0f} ms of processors,"
            f" first after {told['to_first_s']:5.1f} s, last after {told['to_last_s']:5.1f} s,"
            f" {told['trained_bytes'] / MIB:.0f} MiB,"
            f" loss {statistics.mean(told['losses'][-TAIL:]):.3f}",
            flush=True,
        )
    return pair


def judged(pairs: list[Pair], steps: int, clock: str) -> Goals:
    """Medians beside the goals."""
    goals = Goals("lora")

    def median(value: Callable[[Pair], float]) -> float:
        return statistics.median(value(pair) for pair in pairs)

    libraries = subprocess.check_output(
        [sys.executable, "-c", LIBRARIES + PEAK], cwd=ROOT, text=True
    )
    print(f"the libraries alone, with nothing loaded: {int(libraries) / MIB:.0f} MiB")
    print(f"whole stage at its peak: {median(lambda pair: pair.own['peak_bytes']) / MIB:.0f} MiB")
    goals.at_most("a step beside the plain script's", median(lambda p: p.ratio(clock)), 0.7, "x")
    goals.at_most(
        "peak memory beside the plain script's",
        median(lambda p: p.ratio("trained_bytes")),
        0.9,
        "x",
    )
    goals.at_most("process start to first step", median(lambda p: p.own["to_first_s"]), 5, "s")
    trained_s = median(lambda p: p.own["to_last_s"])
    goals.at_most(f"process start to step {steps}", trained_s, 45, "s")
    return goals


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="processor time, for a busy machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = sorted((SAMPLES / "photos").glob("*.png"))
        for crop in prepare_photos(photos, Path(folder)).photos:
            # The plain script knows nothing of scenes, and shall not read more than it learns.
            write_picture(crop.path, read_square(crop.path))
        pairs = [once(Path(folder), given.steps) for _ in range(given.runs)]
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    judged(pairs, given.steps, "core_s" if given.cpu else "step_s").print()


if __name__ == "__main__":
    main()
