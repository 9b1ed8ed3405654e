"""Memory that has run out, as torch and Python tell of it."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import torch

_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "could not create a primitive",
)
"""Torch tells of the processor's memory, and some backends of a device's, in words only.

The last are oneDNN's, which says no more if it finds no room for what a convolution needs.
"""


class MemoryExhaustedError(Exception):
    """Not even one picture at a time fits into memory, at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"one picture at a time does not fit into memory, at step {step}")
        self.step = step


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error)
    return isinstance(error, RuntimeError) and any(word in told for word in _WORDS)


def give_back(device: torch.device) -> None:
    """Let go of what nobody holds any more, so that smaller pieces find room."""
    _empty_backward_queue()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _empty_backward_queue() -> None:
    """Let this thread forget what is left to do of a backward pass that has failed.

    torch keeps that in a queue of the thread, and with it all that the pass would have needed, till
    some later pass takes it out (https://github.com/pytorch/pytorch/pull/33157). What was made
    last is taken out first, and each thread counts for itself; so one step that was the first of
    another thread comes after everything else.
    """
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(lambda: torch.zeros((), requires_grad=True) * 1).result()
    first.backward()
