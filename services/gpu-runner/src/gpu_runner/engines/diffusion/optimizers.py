"""The optimizer that a configuration names, over the weights to be trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gpu_runner.engines.diffusion.config import Optimizer, TrainConfig
from gpu_runner.engines.diffusion.prodigy import Prodigy

Weights = Sequence[torch.nn.Parameter]


class OptimizerUnavailableError(Exception):
    """The optimizer needs a package or a device that is not here."""


def make_optimizer(
    groups: Sequence[tuple[Weights, float]], config: TrainConfig
) -> torch.optim.Optimizer:
    """An optimizer of groups of weights, each with its part of the learning rate as `scale`.

    Raises:
        OptimizerUnavailableError: 8-bit AdamW without bitsandbytes.

    """
    described = [{"params": list(weights), "scale": scale} for weights, scale in groups]
    common = {"lr": config.peak_rate, "weight_decay": config.weight_decay}
    match config.optimizer:
        case Optimizer.ADAMW:
            # One kernel for all weights: a LoRA is hundreds of small ones.
            return torch.optim.AdamW(described, fused=True, **common)
        case Optimizer.ADAMW_8BIT:
            try:
                from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found]
            except ImportError as error:
                raise OptimizerUnavailableError("bitsandbytes is not installed") from error
            made: torch.optim.Optimizer = AdamW8bit(described, **common)
            return made
        case Optimizer.PRODIGY:
            return Prodigy(described, **common)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step; Prodigy, whose groups share one, scales by itself."""
    shared = isinstance(optimizer, Prodigy)
    for group in optimizer.param_groups:
        group["lr"] = rate if shared else rate * group["scale"]
