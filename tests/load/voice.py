"""How like people the matched voices are: `make bench-voice RECORDINGS=<folder>`.

    python -m tests.load.voice FOLDER [--effort draft]

The folder holds one recording a person, fifteen seconds or more of clean speech each; none is
shipped, since a voice is its owner's. Each is cleaned and fitted as the stage `train_voice` does:
the fit hears the first half of fifteen seconds, the cosine that counts is to the second half, with
sentences that the fit never spoke. Seconds are of the clock, those of the processor beside them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu_runner.engines.world.train_voice import Params, run
from gpu_runner.speech.clip import prepare_clip
from gpu_runner.speech.sound import RATE, read_wav, write_wav
from gpu_runner.stage import Report, StageContext

from tests.support.goals import Goals

CLIP_SECONDS = 15
SEED = 7
SECONDS = {"draft": 30.0, "standard": 60.0, "best": 300.0}


@dataclass(frozen=True)
class Fit:
    """What the stage says of a voice, and what it took."""

    metrics: dict[str, Any]
    seconds: float
    processor_seconds: float


class Silent(Report):
    """Nobody listens."""

    def _forget(self, *_: Any, **__: Any) -> None:
        pass

    progress = checkpoint = sample = line = values = _forget


def main() -> None:
    parser = argparse.ArgumentParser("voice", description="How like people matched voices are.")
    parser.add_argument("folder", type=Path, help="one recording of speech for each person")
    parser.add_argument("--effort", choices=list(SECONDS), default="draft")
    options = parser.parse_args()
    recordings = sorted(path for path in options.folder.iterdir() if path.is_file())
    if not recordings:
        raise SystemExit("the folder holds no recording")
    print(f"{len(recordings)} recordings, effort {options.effort}, load {os.getloadavg()[0]:.1f}")
    print(f"{'held out':>9}{'ceiling':>9}{'before':>9}{'errors':>9}{'s':>9}{'core s':>9}  voice")
    fits = []
    for recording in recordings:
        fits.append(_fit(recording, options.effort))
        _tell(fits[-1])
    goals = Goals("bench-voice")
    goals.at_least("held-out cosine, mean", _mean(fits, "similarity_heldout"), 0.8, "")
    goals.at_most("word error rate, mean", _mean(fits, "word_error_rate"), 0.1, "")
    seconds = float(np.median([fit.seconds for fit in fits]))
    goals.at_most("time of a fit, median", seconds, SECONDS[options.effort], "s")
    goals.print()


def _fit(recording: Path, effort: str) -> Fit:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        clip, output, scratch = (work / part for part in ("clip.wav", "output", "scratch"))
        output.mkdir()
        scratch.mkdir()
        prepare_clip(recording, clip)
        write_wav(clip, read_wav(clip)[: CLIP_SECONDS * RATE])
        context = StageContext(
            params=Params.model_validate({"effort": effort}),
            inputs={"clip": [clip]},
            output=output,
            scratch=scratch,
            device="cpu",
            seed=SEED,
            report=Silent(),
        )
        begun, computed = time.perf_counter(), time.process_time()
        metrics = dict(run(context).metrics)
        return Fit(metrics, time.perf_counter() - begun, time.process_time() - computed)


def _tell(fit: Fit) -> None:
    names = ("similarity_heldout", "ceiling", "similarity_unconverted", "word_error_rate")
    figures = "".join(f"{fit.metrics[name]:>9.3f}" for name in names)
    times = f"{fit.seconds:>9.1f}{fit.processor_seconds:>9.1f}"
    print(f"{figures}{times}  {fit.metrics['chosen']}", flush=True)


def _mean(fits: list[Fit], name: str) -> float:
    return float(np.mean([fit.metrics[name] for fit in fits]))


if __name__ == "__main__":
    main()
