"""What a training is at one step, copied out of it, and the file that keeps it.

Copying takes milliseconds; writing is left to a thread, while the training goes on. A file is
there whole or not at all, and is read without unpickling anything but tensors and plain values.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

import torch

STATE_FILE = "state.pt"
_FORMAT = 2


class CheckpointMismatchError(Exception):
    """A checkpoint is damaged or was made with another configuration."""


class State(TypedDict):
    """Everything that decides how a training goes on; all tensors on the CPU.

    `config` is what the run must agree in, `weights` the adapter's by name, `average` its moving
    average or nothing, `losses` those of all steps done, whose number is the position in the data.
    `chunk` is how many pictures are computed at once. Randomness is in `config`: see `order`.
    """

    format: int
    config: dict[str, Any]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    average: list[torch.Tensor]
    losses: list[float]
    chunk: int


def make_state(
    *,
    config: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    optimizer: dict[str, Any],
    scaler: dict[str, Any],
    average: list[torch.Tensor],
    losses: list[float],
    chunk: int,
) -> State:
    """A state that does not change when what it was made of does."""
    return State(
        format=_FORMAT,
        config=dict(config),
        weights=_copied(dict(weights)),
        optimizer=_copied(optimizer),
        scaler=_copied(scaler),
        average=_copied(average),
        losses=list(losses),
        chunk=chunk,
    )


def _copied(value: Any) -> Any:
    match value:
        case torch.Tensor():
            return value.detach().to("cpu", copy=True)
        case dict():
            return {key: _copied(each) for key, each in value.items()}
        case list() | tuple():
            return type(value)(_copied(each) for each in value)
    return value


def write_state(state: State, directory: Path) -> None:
    """Write `state` into `directory`: the file appears when it is whole, and on the disk."""
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f"{STATE_FILE}.part"
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / STATE_FILE)


def read_state(directory: Path, config: Mapping[str, Any]) -> State:
    """The state in `directory`, of a run of the same `config`.

    Raises:
        CheckpointMismatchError: it cannot be read, or belongs to another configuration.

    """
    try:
        state: State = torch.load(directory / STATE_FILE, weights_only=True, map_location="cpu")
        agreed = state["format"] == _FORMAT and state["config"] == dict(config)
    except (
        OSError, KeyError, TypeError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise CheckpointMismatchError("cannot be read") from error
    if not agreed:
        raise CheckpointMismatchError("made with another configuration")
    return state


class BackgroundWriter:
    """Does one piece of writing at a time in a thread of its own; what fails is raised later.

    Whoever has more to write waits for what is being written, so that copies do not pile up.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._latest: Future[None] | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Have `work` done; raises what the piece before it raised."""
        self.wait()
        self._latest = self._thread.submit(work)

    def wait(self) -> None:
        """Until all is written; raises what went wrong."""
        if self._latest is not None:
            self._latest.result()

    def close(self) -> None:
        """Finish what is being written and end the thread."""
        self._thread.shutdown()
