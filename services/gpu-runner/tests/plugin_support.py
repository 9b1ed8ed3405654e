"""Plug-ins that tests write: a manifest and a small program."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from contracts.stagelog import Level
from gpu_runner.plugins import host
from gpu_runner.stage import StageContext, StageResult
from report_support import Talk

ROOT = Path(__file__).parents[3]
AUDIOGRAM = ROOT / "plugins" / "audiogram"

_PROLOGUE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

def say(kind, **what):
    print(json.dumps({"type": kind, **what}), flush=True)

job = json.loads((Path(sys.argv[1]) / "job.json").read_text())
output = Path(job["output"])
"""


def write_plugin(
    folder: Path, program: str, extra: str = "", *, kind: str = "greet", name: str = "tested"
) -> Path:
    """A plug-in whose program knows `say`, `job` and `output`; `extra` is more TOML."""
    folder.mkdir(parents=True)
    (folder / "program.py").write_text(_PROLOGUE + program)
    (folder / "plugin.toml").write_text(
        f"""
protocol = 1
kind = "{kind}"
name = "{name}"
version = "3"
title = "Tested"
lane = "cpu"
licence = "MIT"
command = ["{{python}}", "-S", "program.py"]
{extra}
"""
    )
    return folder


@dataclass
class Heard(Talk):
    """Keeps all that a stage reports."""

    told: list[float] = field(default_factory=list)
    samples: list[Path] = field(default_factory=list)
    checkpoints: list[tuple[Path, int]] = field(default_factory=list)

    def progress(self, done: float, total: float, unit: str, message: str = "") -> None:
        del unit, message
        self.told.append(done / total)

    def checkpoint(self, directory: Path, step: int) -> None:
        self.checkpoints.append((directory, step))

    def sample(self, path: Path, caption: str, step: int) -> None:
        del caption, step
        self.samples.append(path)

    def complaints(self) -> list[str]:
        """What it said as a warning or an error."""
        return [words for level, words in self.said_lines if level is not Level.INFO]


def run_plugin(
    plugin: Path, place: Path, heard: Heard | None = None, **params: object
) -> StageResult:
    """Do a stage by a plug-in, in this process, with one text as its input `words`."""
    output, scratch = place / "output", place / "scratch"
    output.mkdir(parents=True)
    scratch.mkdir()
    words = place / "words.txt"
    words.write_text("hello")
    context = StageContext(
        params=host.Params(params),
        inputs={"words": [words]},
        output=output,
        scratch=scratch,
        device="cpu",
        seed=11,
        report=heard or Heard(),
        plugin=plugin,
    )
    return host.run(context)


def plugin_module(plugin: Path, name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a plug-in, imported here; modules of others with its names are put aside."""
    own = {file.stem for file in plugin.glob("*.py")}
    for each in own:
        patch.delitem(sys.modules, each, raising=False)
    patch.syspath_prepend(str(plugin))
    module = importlib.import_module(name)
    for each in own & sys.modules.keys():
        patch.delitem(sys.modules, each)
    return module


def job_of(place: Path) -> dict[str, object]:
    """What the program of `run_plugin` was told."""
    told: dict[str, object] = json.loads((place / "scratch" / "job" / "job.json").read_text())
    return told
