"""The projector with other projections than this version has, as a program of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import projector


def copied(folder: Path) -> Path:
    """The package's source in a folder; put that in PYTHONPATH, and it is the one that runs."""
    source = Path(str(projector.__file__)).parent
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(source, folder / "projector", ignore=ignored))


def first_in_path(folder: Path) -> str:
    """PYTHONPATH with this folder before everything else."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
