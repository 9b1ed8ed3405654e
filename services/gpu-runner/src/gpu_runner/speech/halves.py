"""A network's output and gradient for a batch, each half of it in a thread of its own.

A recurrent network's steps are too small to be shared among threads, but rows of a batch do not
know of each other. The halves are the same on every machine, and so is the result, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import torch
from torch import Tensor

Network: TypeAlias = Callable[[Tensor], Tensor]


def in_halves(network: Network, batch: Tensor, threads: int) -> Tensor:
    """`network(batch)`, where the first dimension of both is the batch's, with its gradient.

    The gradient is that of the batch; the network's own weights get none.
    """
    made: Tensor = _Halves.apply(batch, network, min(2, threads))  # type: ignore[no-untyped-call]
    return made


class _Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, batch: Tensor, network: Network, threads: int) -> Tensor:
        def half(rows: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                entered = rows.detach().requires_grad_(True)
                return entered, network(entered)

        with ThreadPoolExecutor(threads) as pool:
            ctx.halves = list(pool.map(half, batch.chunk(2)))
        ctx.threads = threads
        return torch.cat([left.detach() for _, left in ctx.halves])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        def half(ends: tuple[Tensor, Tensor], gradient: Tensor) -> Tensor:
            entered, left = ends
            return torch.autograd.grad(left, entered, gradient)[0]

        [gradient] = gradients
        sizes = [len(entered) for entered, _ in ctx.halves]
        with ThreadPoolExecutor(ctx.threads) as pool:
            return torch.cat(list(pool.map(half, ctx.halves, gradient.split(sizes)))), None, None
