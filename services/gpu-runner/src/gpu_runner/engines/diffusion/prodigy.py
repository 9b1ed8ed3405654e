"""Prodigy, the optimizer that finds its own learning rate (Mishchenko and Defazio, 2306.06101).

Adam whose step size is `d`, a lower bound of the distance from the start to the solution that
grows while training. Written anew after algorithm 4 of the paper, for two reasons: all of its
state is in `state_dict`, which an exact resume needs, and it waits for the device once a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

FIRST_DISTANCE = 1e-6


class Prodigy(Optimizer):
    """`lr` is a factor of the step size found: 1, or what a schedule makes of it.

    As the authors advise for diffusion models, the bias of Adam's means is corrected, and a
    warm-up does not make `d` grow too far. A group's `scale` makes its steps smaller by that much.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "scale": 1}
        super().__init__(params, defaults)
        for group in self.param_groups:
            group |= {"distance": FIRST_DISTANCE, "progress": 0.0, "steps": 0}

    @property
    def distance(self) -> float:
        """The step size found so far."""
        return float(self.param_groups[0]["distance"])

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Learn the distance from the gradients, then change the weights."""
        first = self.param_groups[0]  # what is found is the same in all groups
        beta1, beta2 = first["betas"]
        keep = math.sqrt(beta2)
        steps = first["steps"] + 1
        correction = math.sqrt(1 - beta2**steps) / (1 - beta1**steps)
        rate = first["lr"] * correction
        before = first["distance"]
        progress, path = self._measure(before, rate, keep)
        progress += keep * first["progress"]
        distance = max(before, progress / path) if path else before
        for group in self.param_groups:
            self._move(group, before, rate * group["scale"])
            group |= {"distance": distance, "progress": progress, "steps": steps}

    def _measure(self, distance: float, rate: float, keep: float) -> tuple[float, float]:
        """How far the gradients agree with the way come, and the length of their weighted sum."""
        agreement: list[torch.Tensor] = []
        lengths: list[torch.Tensor] = []
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["start"] = weight.clone()
                    state |= {name: torch.zeros_like(weight) for name in ("mean", "square", "path")}
                gradient = weight.grad
                agreement.append(torch.sum(gradient * (state["start"] - weight)))
                state["mean"].mul_(beta1).add_(gradient, alpha=distance * (1 - beta1))
                state["square"].mul_(beta2).addcmul_(
                    gradient, gradient, value=distance**2 * (1 - beta2)
                )
                # Without the rate, which while warming up would make the path too short.
                state["path"].mul_(keep).add_(gradient, alpha=distance**2)
                lengths.append(state["path"].abs().sum())
        if not lengths:
            return 0.0, 0.0
        sums = torch.stack([torch.stack(agreement).sum(), torch.stack(lengths).sum()])
        agreed, length = sums.tolist()
        return distance**2 * rate * agreed, length

    def _move(self, group: dict[str, Any], distance: float, rate: float) -> None:
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            size = distance * rate
            weight.mul_(1 - size * group["weight_decay"])
            spread = state["square"].sqrt().add_(distance * group["eps"])
            weight.addcdiv_(state["mean"], spread, value=-size)
