"""The folder of all weights: one folder for each model, which is there only when it is whole.

What is being pulled lies beside it under another name until its last file has been checked, so
whoever finds a model's folder finds all of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gpu_runner.grown import HeldError, held, put_in_place
from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.lock import Lock, lacking, read_lock


class State(StrEnum):
    """How weights are."""

    PACKAGED = "packaged"
    READY = "ready"
    DAMAGED = "damaged"
    PARTIAL = "partial"
    ABSENT = "absent"


def models_folder(environment: Mapping[str, str]) -> Path:
    """Where weights are kept: `MYSPINBOT_MODELS`, else below the home of the local system."""
    if folder := environment.get("MYSPINBOT_MODELS"):
        return Path(folder).expanduser().absolute()
    data = Path(environment.get("XDG_DATA_HOME") or "~/.local/share") / "myspinbot"
    return (Path(environment.get("MYSPINBOT_HOME") or data) / "models").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Store:
    """The weights below one folder."""

    root: Path

    def folder(self, name: str) -> Path:
        """Where a model is once it is whole."""
        return self.root / name

    def partial(self, name: str) -> Path:
        """Where a model grows while it is pulled."""
        return self.root / f"{name}.partial"

    def state(self, name: str) -> State:
        """How a model is, by the sizes of its files."""
        folder = self.folder(name)
        if os.path.lexists(folder):
            try:
                whole = not any(lacking(folder, read_lock(folder)))
            except ModelError:
                whole = False
            return State.READY if whole else State.DAMAGED
        return State.PARTIAL if self.partial(name).is_dir() else State.ABSENT

    def lock(self, name: str) -> Lock | None:
        """What was pulled, or None if the model is not there; ModelError if it is no model."""
        folder = self.folder(name)
        return read_lock(folder) if os.path.lexists(folder) else None

    def usable(self, name: str) -> Path:
        """The folder of a model with all its files; ModelError if there is none."""
        lock = self.lock(name)
        if lock is None:
            raise ModelError(
                f"the weights of {name} are not in {self.root}",
                f"Get them with `myspinbot models pull {name}`",
                Fault.ABSENT,
            )
        if (first := next(lacking(self.folder(name), lock), None)) is not None:
            raise ModelError(
                f"the weights of {name} are damaged: {first.path} is "
                + ("missing" if first.what == "missing" else "of another size"),
                f"Mend them with `myspinbot models pull {name}`",
            )
        return self.folder(name)

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Be the only one who pulls a model; ModelError if somebody else does."""
        with contextlib.ExitStack() as holding:
            try:
                holding.enter_context(held(self.root / f".{name}.lock"))
            except HeldError as error:
                raise ModelError(
                    f"the model {name} is being pulled already{error.by_whom}",
                    "Wait until it has ended; what it has got is kept if it is stopped",
                    Fault.AWAY,
                ) from error
            except OSError as error:
                raise ModelError(
                    f"the folder of weights {self.root} cannot be used: {error.strerror}",
                    "Choose another one with MYSPINBOT_MODELS",
                ) from error
            yield

    def begin(self, name: str) -> Path:
        """The folder in which a model grows; what is left of a damaged one is taken over.

        ModelError if something that was not pulled is in the model's place.
        """
        folder, partial = self.folder(name), self.partial(name)
        if os.path.lexists(folder):
            read_lock(folder)
            if self.state(name) is State.DAMAGED and not partial.exists():
                folder.replace(partial)
        partial.mkdir(exist_ok=True)
        return partial

    def install(self, name: str) -> Path:
        """Put the grown folder in the place of what was there before."""
        folder = self.folder(name)
        put_in_place(self.partial(name), folder)
        return folder
