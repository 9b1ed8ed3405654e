"""Where the base is, and the words that go with it. No torch here."""

from __future__ import annotations

from pathlib import Path

from gpu_runner.stage import StageError

BASE = Path(__file__).parent / "weights"
"""A diffusers `StableDiffusionPipeline` directory; its README.md is the model card."""

SUBJECT = "portrait"
"""With this word all captions of people began in pretraining."""


def require(base: Path) -> Path:
    """`base`, if it is there.

    Raises:
        StageError: `weights-absent`.

    """
    if not (base / "model_index.json").is_file():
        raise StageError(
            "weights-absent",
            "the weights of the mini base (under 30 MB, part of this package) are not installed",
            "Install the runner again, or make them with `python -m pretrain`",
        )
    return base


def prompt_for(trigger: str, wish: str = "") -> str:
    """The prompt that calls the person: trigger word first, then what the user wishes."""
    return ", ".join(part for part in (SUBJECT, trigger, " ".join(wish.split())) if part)
