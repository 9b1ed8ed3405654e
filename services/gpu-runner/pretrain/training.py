"""The one training loop, for codec and denoiser alike: it can be killed at any moment and goes on.

Nothing random is carried from step to step: each worker's draws are made from the seed, the
step and its own number. So a checkpoint needs only the step to know the state of every random
source and the position in the data, and a run that was killed ends with the same bits as one
that was not - on the same kind of processor, with the same libraries and number of workers,
as the order in which floating-point sums are taken is up to those.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from pretrain.crew import Crew
from pretrain.files import replaced
from pretrain.journal import Journal
from pretrain.plan import Plan, PlanError

WARM_UP = 200
LAST_RATE = 0.02
AVERAGE_POWER = 16.97
"""Makes the average as wide as 5 % of the steps so far (Karras et al., arXiv:2312.02696)."""
KEPT = 2

Say = Callable[[str], None]


class Draw:
    """The random source of one step of one worker."""

    def __init__(self, *key: int) -> None:
        self.numbers = np.random.default_rng(key)
        self.tensors = torch.Generator().manual_seed(int(self.numbers.integers(2**62)))


class Task(Protocol):
    """What is trained: `live` are its modules, whose weights that ask for gradients are trained."""

    name: str
    number: int
    steps: int
    peak_rate: float
    weight_decay: float
    live: nn.ModuleDict

    def loss(self, draw: Draw) -> torch.Tensor:
        """The loss on one worker's share of a batch."""

    def examine(self, averaged: nn.ModuleDict, grid: Path) -> dict[str, float]:
        """Figures of the averaged weights on what is held out; draws samples to `grid`."""


def rate(step: int, steps: int, peak: float) -> float:
    """The learning rate of `step`: a short warm-up, then half a cosine to a fiftieth of `peak`."""
    warm = min(1, (step + 1) / WARM_UP)
    return peak * warm * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2)


class Training:
    """A task with its optimizer and the average of its weights, at `step`."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.step = 0
        self.weights = [weight for weight in task.live.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights,
            lr=task.peak_rate,
            betas=(0.9, 0.99),
            weight_decay=task.weight_decay,
        )
        self.averaged = copy.deepcopy(task.live).requires_grad_(False)
        trained = [weight.requires_grad for weight in task.live.parameters()]
        self._averages = [
            weight
            for weight, counts in zip(self.averaged.parameters(), trained, strict=True)
            if counts
        ]

    def advance(self, draw: Draw, crew: Crew) -> float:
        """One step; the mean loss over all workers."""
        own = self.task.loss(draw)
        own.backward()
        loss = crew.average(self.weights, own.item())
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.task.steps, self.task.peak_rate)
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        forget = 1 - (1 - 1 / self.step) ** (AVERAGE_POWER + 1)
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self.weights, forget)
        return loss

    def save(self, folder: Path) -> None:
        """Write a checkpoint and remove all but the newest."""
        state = {
            "step": self.step,
            "live": self.task.live.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with replaced(folder / f"step-{self.step:07d}.pt") as temporary:
            torch.save(state, temporary)
        for old in checkpoints(folder)[:-KEPT]:
            old.unlink()

    def resume(self, folder: Path) -> None:
        """Go back to the newest checkpoint in `folder`, if there is one."""
        found = checkpoints(folder)
        if not found:
            return
        state: dict[str, Any] = torch.load(found[-1], weights_only=True)
        self.task.live.load_state_dict(state["live"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in `folder`, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def train(crew: Crew, task: Task, plan: Plan, work: Path, say: Say = print) -> nn.ModuleDict:
    """Train `task` to its last step, from the newest checkpoint in `work`; the averaged weights.

    Raises:
        PlanError: the loss is no longer a number.

    """
    training = Training(task)
    folder = work / "checkpoints" / task.name
    training.resume(folder)
    journal = Journal(work / f"{task.name}.jsonl", training.step) if crew.leads else None
    recent: list[float] = []
    while training.step < task.steps:
        draw = Draw(plan.seed, task.number, training.step, crew.rank)
        recent.append(training.advance(draw, crew))
        step, last = training.step, training.step == task.steps
        if not math.isfinite(recent[-1]):
            raise PlanError(f"{task.name}: the loss at step {step} is {recent[-1]}")
        if journal and (last or step % plan.log_every == 0):
            figures = {
                "loss": sum(recent) / len(recent),
                "rate": rate(step - 1, task.steps, task.peak_rate),
            }
            recent.clear()
            if last or step % plan.sample_every == 0:
                grid = work / "samples" / f"{task.name}-{step:07d}.png"
                figures |= task.examine(training.averaged, grid)
            entry = journal.note(step, **figures)
            say(f"{task.name} " + ", ".join(f"{key} {value:.6g}" for key, value in entry.items()))
        if crew.leads and (last or step % plan.checkpoint_every == 0):
            training.save(folder)
    return training.averaged
