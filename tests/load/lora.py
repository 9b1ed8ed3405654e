"""`make bench-lora`: the stage `train_lora` on the built-in base against a plain training script.

Both learn the sample's face crops on the same base with the same adapter, batch, steps, precision
and number of threads, by turns of a few steps, each time in new processes. Ours is the whole stage
as a runner's child does it, with its checkpoints; the plain script is `lora_plain`.

    python -m tests.load.lora [--steps 150] [--runs 5]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gpu_runner.engines.diffusion.lora import ATTENTION, CONVOLUTIONS
from gpu_runner.engines.diffusion.pictures import read_square
from gpu_runner.engines.mini.base import BASE
from gpu_runner.engines.mini.train_lora import Params
from gpu_runner.faces.photos import prepare_photos
from gpu_runner.media.pictures import write_picture
from gpu_runner.process import environment

from tests.load.lora_told import BATON
from tests.support.goals import Goals
from tests.support.samples import SAMPLES

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
TAIL = 50
LIBRARIES = "import torch, diffusers.models.unets.unet_2d_condition; "
PEAK = "from tests.load.lora_told import peak_bytes; print(peak_bytes())"


@dataclass(frozen=True, slots=True)
class Pair:
    """What two trainings told that went on by turns."""

    own: dict[str, Any]
    plain: dict[str, Any]

    def ratio(self, name: str) -> float:
        """Our figure as a part of the other's."""
        return float(self.own[name] / self.plain[name])


class Training:
    """A training in a process of its own, which computes only when it is its turn."""

    def __init__(self, module: str, environment: Mapping[str, str], *given: str | Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._output = Path(self._folder.name, "output")
        self._baton, theirs = socket.socketpair()
        *paths, settings = given
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *paths, self._folder.name, settings],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **environment, BATON: str(theirs.fileno())},
            )
        theirs.close()

    def turn_is_over(self) -> bool:
        """Wait until it gives its turn away; it does so no more once it has ended."""
        return bool(self._baton.recv(1))

    def take_turn(self) -> None:
        """Let it go on, if it has not ended."""
        with contextlib.suppress(BrokenPipeError):
            self._baton.sendall(b".")

    def told(self) -> dict[str, Any]:
        """What it told at its end; it says no word before."""
        if self._process.wait():
            sys.exit(self._output.read_text()[-3000:])
        told: dict[str, Any] = json.loads(Path(self._folder.name, "told.json").read_text())
        self._baton.close()
        self._folder.cleanup()
        return told


def by_turns(begin: Sequence[Callable[[], Training]]) -> list[dict[str, Any]]:
    """What trainings tell of which one at a time computes; each begins when its turn comes."""
    begun: list[Training] = []
    for one in begin:
        begun.append(one())
        begun[-1].turn_is_over()
    going = list(begun)
    while going:
        for one in tuple(going):
            one.take_turn()
            if not one.turn_is_over():
                going.remove(one)
    return [one.told() for one in begun]


def once(pictures: Path, steps: int) -> Pair:
    """Both trainings, each in turn."""
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
    ours = environment(os.cpu_count() or 1)
    pair = Pair(
        *by_turns(
            (
                partial(Training, "tests.load.lora_own", ours, pictures, json.dumps(own)),
                partial(Training, "tests.load.lora_plain", {}, BASE, pictures, json.dumps(plain)),
            )
        )
    )
    for name, told in (("stage", pair.own), ("plain script", pair.plain)):
        print(
            f"  {name:<13} {told['step_s'] * 1000:6.0f} ms a step,"
            f" first after {told['to_first_s']:5.1f} s, last after {told['to_last_s']:5.1f} s,"
            f" {told['trained_bytes'] / MIB:.0f} MiB,"
            f" loss {statistics.mean(told['losses'][-TAIL:]):.3f}",
            flush=True,
        )
    return pair


def judged(pairs: list[Pair], steps: int) -> Goals:
    """Medians beside the goals."""
    goals = Goals("lora")

    def median(value: Callable[[Pair], float]) -> float:
        return statistics.median(value(pair) for pair in pairs)

    libraries = subprocess.check_output(
        [sys.executable, "-c", LIBRARIES + PEAK], cwd=ROOT, text=True
    )
    print(f"the libraries alone, with nothing loaded: {int(libraries) / MIB:.0f} MiB")
    print(f"whole stage at its peak: {median(lambda pair: pair.own['peak_bytes']) / MIB:.0f} MiB")
    goals.at_most("a step beside the plain script's", median(lambda p: p.ratio("step_s")), 0.7, "x")
    goals.at_most(
        "peak memory beside the plain script's",
        median(lambda p: p.ratio("trained_bytes")),
        0.9,
        "x",
    )
    goals.at_most("process start to first step", median(lambda p: p.own["to_first_s"]), 5, "s")
    trained_s = median(lambda p: p.own["to_last_s"])
    goals.at_most(f"process start to step {steps}", trained_s, 45, "s")
    paused = 100 * median(lambda p: p.own["checkpoint_pause"])
    goals.at_most("time for which checkpoints stop the training", paused, 5, "%")
    return goals


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = sorted((SAMPLES / "photos").glob("*.png"))
        for crop in prepare_photos(photos, Path(folder)).photos:
            # The plain script knows nothing of scenes, and shall not read more than it learns.
            write_picture(crop.path, read_square(crop.path))
        pairs = [once(Path(folder), given.steps) for _ in range(given.runs)]
    print(f"load average of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    judged(pairs, given.steps).print()


if __name__ == "__main__":
    main()
