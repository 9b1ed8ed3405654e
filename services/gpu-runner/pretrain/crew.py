"""The processes that train together: one thread each, gradients averaged once a step.

Threads inside one process would have to wait for each other at every operation, which on a
machine that others use was measured to be ten times slower.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, multiprocessing, nn

PATIENCE = timedelta(days=1)
"""How long a worker waits for the others: at the lowest priority one may stand still for hours."""


@dataclass(frozen=True, slots=True)
class Crew:
    """A worker's number and how many there are."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this is the worker that writes."""
        return self.rank == 0

    def average(self, weights: Iterable[nn.Parameter], loss: float) -> float:
        """Average the gradients over all workers, in place; and the loss, which is returned."""
        if self.size == 1:
            return loss
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor([loss])])
        distributed.all_reduce(flat)
        flat /= self.size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, flat[:-1].split(sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return float(flat[-1])


def run(work: Callable[..., None], workers: int, *arguments: Any) -> None:
    """Call `work(crew, *arguments)` in `workers` processes; a single one is this process.

    The processes end with this one, however it ends.
    """
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            work(Crew(0, 1), *arguments)
        finally:
            torch.set_num_threads(threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"{folder}/meeting"  # made by the first worker, removed by the last
        multiprocessing.spawn(_worker, (workers, meeting, work, arguments), nprocs=workers)


def _worker(
    rank: int, size: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    # What torch has the system send when the first process is gone; a shell that starts a command
    # in the background lets it ignore that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=PATIENCE
    )
    work(Crew(rank, size), *arguments)
    distributed.destroy_process_group()
