"""What a training tells while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _never() -> bool:
    return False


def _nothing(_step: int, _pictures: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell: of each step its number, loss and learning rate; when to show; when to keep.

    What a checkpoint is given, to save it in a folder, holds a copy and may be called later, in
    another thread. `checkpoint_wanted` is asked after each step whether to keep it out of turn.
    `on_smaller_batch` tells at which step memory ran out, and how many pictures are computed at
    once from there on.
    """

    on_step: Callable[[int, float, float], None]
    on_sample: Callable[[int], None]
    on_checkpoint: Callable[[int, Callable[[Path], None]], None]
    checkpoint_wanted: Callable[[], bool] = _never
    on_smaller_batch: Callable[[int, int], None] = _nothing


@dataclass(frozen=True, slots=True)
class TrainResult:
    """`losses` of all steps, also of those before a resume; the rest is this attempt's alone.

    `paused` is the part of the training's time that went into checkpoints.
    """

    losses: list[float]
    steps_per_second: float
    resumed_at: int
    paused: float
