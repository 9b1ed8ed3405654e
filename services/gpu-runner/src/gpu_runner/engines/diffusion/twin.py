"""A second process that learns the other half of each batch, on a processor of its own.

A small base computes thousands of small operations a step, between which one Python waits for
its threads, and its threads for Python. Two processes with one thread each wait for nothing but
the end of a step. The twin is forked once all is loaded and drawn, so it shares what neither of
them changes: the libraries, the base, the pictures. The adapter's weights lie in memory that
both see, and the twin's gradients in more of it. It draws the same lesson by itself, as a lesson
follows from the seed and the step.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

import torch

from gpu_runner.orphan import die_with_parent

_ASKED = struct.Struct("=q")
_TOLD = struct.Struct("=d")
_ALIGNED = 16
"""Numbers of 64 bytes."""

Learn = Callable[[int], float]
"""Leaves the gradients of the twin's half of a step in the weights; returns its loss."""


class TwinLostError(MemoryError):
    """There is no twin any more, or none came to be: there was no memory for it."""


def may_have_twin(device: torch.device, pictures: int) -> bool:
    """Whether there is a processor for it, and something to learn."""
    # Other systems' own libraries do not all survive a fork.
    forks = sys.platform == "linux" and device.type == "cpu"
    return forks and torch.get_num_threads() > 1 and pictures > 1


class Twin:
    """The process; as long as it is there, the caller has one thread, too.

    `weights` are moved to where it sees them. `learn` is what it does at each step: what the
    caller knows now, it knows.

    Raises:
        TwinLostError: there is no memory for it from the first, or no process.

    """

    def __init__(self, weights: Sequence[torch.nn.Parameter], learn: Learn) -> None:
        self._threads = torch.get_num_threads()
        theirs, self._questions = os.pipe()
        self._answers, answers = os.pipe()
        # What is looked through for garbage is written to, and what is written to is copied.
        gc.collect()
        gc.freeze()
        torch.set_num_threads(1)
        parent = os.getpid()
        try:
            _move(weights)
            self._gradients = _shared_like(weights)
            self._pid = os.fork()
        except OSError as error:
            for end in (theirs, self._questions, self._answers, answers):
                os.close(end)
            torch.set_num_threads(self._threads)
            raise TwinLostError from error
        if not self._pid:
            os.close(self._questions)
            os.close(self._answers)
            _live(parent, (theirs, answers), weights, self._gradients, learn)
        os.close(theirs)
        os.close(answers)

    def ask(self, step: int) -> None:
        """Let it learn its half of `step`.

        Raises:
            TwinLostError: it has ended.

        """
        try:
            os.write(self._questions, _ASKED.pack(step))
        except BrokenPipeError as error:
            raise TwinLostError from error

    def answer(self, weights: Sequence[torch.nn.Parameter]) -> float:
        """Wait for it, and add its gradients to those of `weights`; returns its part of the loss.

        Raises:
            TwinLostError: it has ended.

        """
        told = os.read(self._answers, _TOLD.size)
        if len(told) < _TOLD.size:
            raise TwinLostError
        torch._foreach_add_([weight.grad for weight in weights], self._gradients)
        return float(_TOLD.unpack(told)[0])

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """The caller has all threads again for as long as this lasts."""
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(1)

    def close(self) -> None:
        """End it, and have all threads again."""
        os.close(self._questions)
        os.close(self._answers)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        torch.set_num_threads(self._threads)


def _live(
    parent: int,
    pipes: tuple[int, int],
    weights: Sequence[torch.nn.Parameter],
    gradients: Sequence[torch.Tensor],
    learn: Learn,
) -> None:
    """The twin's life: nothing of what the caller would do at its end is done in it."""
    questions, answers = pipes
    try:
        die_with_parent(parent)
        # The runner's wish for a checkpoint is not for it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        while asked := os.read(questions, _ASKED.size):
            torch._foreach_zero_(gradients)
            os.write(answers, _TOLD.pack(learn(*_ASKED.unpack(asked))))
    except Exception:  # noqa: BLE001 - it must not go on as if it were the caller
        traceback.print_exc()
    finally:
        os._exit(0)


@torch.no_grad()
def _move(weights: Sequence[torch.nn.Parameter]) -> None:
    for weight, place in zip(weights, _shared_like(weights), strict=True):
        weight.data = place.copy_(weight)


def _shared_like(weights: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """Zeros of the same shapes, float32, in memory that a forked process shares."""
    # Each begins where vector instructions like it best.
    rooms = [-(-weight.numel() // _ALIGNED) * _ALIGNED for weight in weights]
    # Anonymous memory needs no /dev/shm, which is small in containers.
    whole = torch.frombuffer(mmap.mmap(-1, 4 * sum(rooms)), dtype=torch.float32)
    return [
        room[: weight.numel()].view(weight.shape)
        for room, weight in zip(whole.split(rooms), weights, strict=True)
    ]
