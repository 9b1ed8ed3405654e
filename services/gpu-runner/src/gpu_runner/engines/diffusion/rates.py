"""The learning rate as a pure function of the step, so that no scheduler has a state to lose."""

from __future__ import annotations

import math

from gpu_runner.engines.diffusion.config import Schedule, TrainConfig


def rate_fraction(step: int, config: TrainConfig) -> float:
    """What part of the peak learning rate `step` (from 1) has: linear warm-up, then the schedule.

    Cosine with restarts is SGDR (arXiv:1608.03983) with curves of equal length.
    """
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.final_rate + (1 - config.final_rate) * _height(done, config)


def _height(done: float, config: TrainConfig) -> float:
    """From 1 down to 0 as `done` goes from 0 to 1."""
    match config.schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.LINEAR:
            return 1 - done
        case Schedule.COSINE:
            return (1 + math.cos(math.pi * done)) / 2
        case Schedule.COSINE_RESTARTS:
            within = done * config.restarts % 1 if done < 1 else 1.0
            return (1 + math.cos(math.pi * within)) / 2
