"""A training that is killed at any moment ends, resumed elsewhere, with the very same numbers."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import lora_kill_support
import pytest
from gpu_runner.engines.diffusion import components, trainer
from gpu_runner.engines.diffusion.checkpoint import STATE_FILE
from mini_support import write_random_base

STEPS = 10
COMMON = {"rank": 2, "steps": STEPS, "batch_size": 1, "warmup_steps": 3, "checkpoint_every": 2}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"convolutions": True},
    "average-of-dora": {
        "dora": True,
        "ema_decay": 0.9,
        "gradient_accumulation": 2,
        "gradient_checkpointing": True,
        "noise_offset": 0.1,
    },
    "text-encoder": {
        "text_encoder": True,
        "optimizer": "prodigy",
        "schedule": "cosine_restarts",
        "precision": "fp16",
    },
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    # Each training is a process of its own, but the libraries are loaded once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([trainer.__name__, components.__name__])
    return context


def attempt(
    processes: ForkServerContext,
    base: Path,
    folder: Path,
    settings: dict[str, Any],
    *,
    resume: Path | None = None,
    kill_at: int | None = None,
) -> str | None:
    """The digest of the result, or nothing if the process was killed once it told of a step."""
    told, telling = processes.Pipe(duplex=False)
    process = processes.Process(
        target=lora_kill_support.train, args=(base, folder, resume, settings, telling)
    )
    process.start()
    telling.close()
    try:
        while True:
            assert told.poll(120), "the training has stopped without a word"
            message = told.recv()
            if isinstance(message, str):
                return message
            if kill_at is not None and message >= kill_at:
                return None
    finally:
        process.kill()
        process.join()


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole."""
    kept = [path.parent for path in folder.glob(f"*/{STATE_FILE}")]
    return max(kept, key=lambda path: int(path.name), default=None)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_three_times_a_training_ends_with_the_same_bits(
    processes: ForkServerContext, base: Path, tmp_path: Path, kind: str
) -> None:
    settings = COMMON | KINDS[kind]
    whole = attempt(processes, base, tmp_path / "whole", settings)
    kills = sorted(random.Random(kind).sample(range(2, STEPS - 1), 3))
    resume: Path | None = None
    for number, kill_at in enumerate(kills):
        folder = tmp_path / f"runner-{number}"
        assert attempt(processes, base, folder, settings, resume=resume, kill_at=kill_at) is None
        kept = newest(folder)
        if kept is not None:
            # The next runner has nothing but a copy of the checkpoint.
            resume = shutil.copytree(kept, tmp_path / f"from-{number}" / kept.name)
        shutil.rmtree(folder, ignore_errors=True)
    assert resume is not None
    assert attempt(processes, base, tmp_path / "last", settings, resume=resume) == whole
