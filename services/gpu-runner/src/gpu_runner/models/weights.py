"""What a runner asks: where are the weights of an engine, or what is missing and how to get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from contracts.capabilities import Weights

from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.manifest import find
from gpu_runner.models.store import State, Store, models_folder
from gpu_runner.stage import StageError


def weights_of(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The diffusers directory of a model, with all its files in their sizes.

    Raises:
        StageError: `weights-absent`, with name, size, licence and the command that gets them.

    """
    model = find(name)
    if model.source is None:
        # Imported here, as the list of engines asks this module what they lack.
        from gpu_runner.engines.mini.base import BASE, require

        return require(BASE)
    try:
        return Store(models_folder(environment)).usable(name)
    except ModelError as error:
        absent = error.fault is Fault.ABSENT
        raise StageError(
            "weights-absent",
            # No path: causes enter the event log.
            f"the weights of {name} are {'not here' if absent else 'damaged'} "
            f"(about {model.source.about_bytes / 1e9:.1f} GB, licence {model.licence.title})",
            f"Get them where the runner is: `myspinbot models pull {name}`",
        ) from error


def settings_of(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The pulled model, whose configurations and tokenizers fit single files of its kind."""
    store = Store(models_folder(environment))
    return store.folder(name) if store.state(name) is State.READY else None


def missing(name: str, environment: Mapping[str, str] = os.environ) -> Weights | None:
    """What a runner announces to be missing of a model, or None if it is there."""
    model = find(name)
    if model.source is None or Store(models_folder(environment)).state(name) is State.READY:
        return None
    return Weights(
        name=f"{name} ({model.title})",
        size_bytes=model.source.about_bytes,
        licence=model.licence.title,
        how_to_get=f"myspinbot models pull {name}",
    )
