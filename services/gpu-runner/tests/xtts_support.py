"""The XTTS plug-in in its real environment, with tiny random weights, run as a runner runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from gpu_runner import protocol
from gpu_runner.plugins import parameters
from gpu_runner.plugins.check.trial import Trial
from gpu_runner.plugins.manifest import load
from plugin_support import ROOT

SOURCE = ROOT / "plugins" / "xtts"
INSTALLED = ROOT / ".engines" / "engines" / "xtts"


@dataclass(frozen=True)
class Xtts:
    """A copy of the plug-in with the installed environment, and tiny weights for it."""

    folder: Path
    weights: Path

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"

    def ask(self, program: str, *words: Path) -> bytes:
        """What a program beside this one prints, run with the plug-in's libraries and modules."""
        settings = {**os.environ, "PYTHONPATH": str(self.folder)}
        line = [self.python, Path(__file__).parent / program, *words]
        return subprocess.run(line, env=settings, check=True, stdout=subprocess.PIPE).stdout

    def job(
        self,
        kind: str,
        place: Path,
        inputs: Mapping[str, Path],
        *,
        params: Mapping[str, Any] | None = None,
        weights: Path | None = None,
    ) -> dict[str, Any]:
        """A job as the host writes it, all of whose results go to one place."""
        schema = load(self.folder / kind).schema
        return {
            "kind": kind,
            "params": parameters.complete(schema, params or {}),
            "inputs": {name: [str(path)] for name, path in inputs.items()},
            "output": str(place),
            "scratch": str(place),
            "resume": None,
            "weights": str(weights or self.weights),
            "device": "cpu",
            "seed": 7,
        }

    def trial(self, kind: str, place: Path, inputs: Mapping[str, Path], **more: Any) -> Trial:
        """A stage of this kind, to be run in its own folder."""
        given = {name: [path] for name, path in inputs.items()}
        return Trial(load(self.folder / kind), place, given, **more)


@dataclass
class Course:
    """What was heard of a stage, and its checkpoints, which a runner would have stored."""

    keep: Path
    lines: list[protocol.Line] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    checkpoints: list[Path] = field(default_factory=list)
    ending: protocol.Done | protocol.Failed | None = None

    @property
    def outputs(self) -> dict[str, list[Path]]:
        assert isinstance(self.ending, protocol.Done), self.ending
        return self.ending.outputs

    @property
    def metrics(self) -> dict[str, Any]:
        assert isinstance(self.ending, protocol.Done), self.ending
        return self.ending.metrics


async def run(trial: Trial, *, kill_after: int = 0) -> Course:
    """Run a stage; with `kill_after`, kill it at that checkpoint."""
    course = Course(trial.folder.with_name(f"{trial.folder.name}-checkpoints"))
    process = await trial.start()
    try:
        async for message in process.messages():
            match message:
                case protocol.Progress(done=done, total=total):
                    course.told.append(done / total)
                case protocol.Line():
                    course.lines.append(message)
                case protocol.Checkpointed(directory=directory, step=step):
                    kept = course.keep / str(step)
                    shutil.copytree(directory, kept)
                    course.checkpoints.append(kept)
                    if len(course.checkpoints) == kill_after:
                        break
                case protocol.Done() | protocol.Failed():
                    course.ending = message
    finally:
        await process.kill()
    return course


def installed(folder: Path) -> Iterator[Xtts]:
    """The plug-in as it is in the repository, with the environment of `make setup-engines`.

    Where that is not made, tests are skipped; in continuous integration they fail.
    """
    place = folder / "xtts"
    shutil.copytree(SOURCE, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / ".venv").symlink_to(INSTALLED / ".venv")
    plugin = load(place / "train_voice")
    if plugin.environment is None or not plugin.environment.made:
        if os.environ.get("CI"):
            pytest.fail("the environment of xtts is not there, or of another lock")
        pytest.skip("make setup-engines makes the environment of xtts")
    weights = folder / "weights"
    made = Xtts(place, weights)
    made.ask("xtts_weights.py", weights)
    yield made


def recording(path: Path, seconds: float = 4.0, rate: int = 24_000) -> Path:
    """Something that rises and falls like a voice."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    loud = 0.15 * np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    soundfile.write(path, (loud * buzz).astype(np.float32), rate)
    return path
