"""What a runner asks: where are the weights of an engine, or what is missing and how to get it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from contracts.capabilities import Base, Weights

from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.manifest import Model, find
from gpu_runner.models.own import fingerprint, own_base, setting, size_of
from gpu_runner.models.store import State, Store, models_folder
from gpu_runner.stage import StageError

OWN_TITLE = "A base of your own"
OWN_LICENCE = "unknown to us"
"""Of a base that somebody has named: its owner knows."""


def weights_of(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The diffusers directory of a model, with all its files in their sizes.

    A base of the user's own goes before it: that may be one file, and is not looked at here.

    Raises:
        StageError: `weights-absent`, with name, size, licence and the command that gets them.

    """
    if (own := own_base(name, environment)) is not None:
        return own
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
    if (own := own_base(name, environment)) is not None:
        return _missing_of_own(model, own, environment)
    if model.source is None or Store(models_folder(environment)).state(name) is State.READY:
        return None
    return Weights(
        name=f"{name} ({model.title})",
        size_bytes=model.source.about_bytes,
        licence=model.licence.title,
        how_to_get=f"myspinbot models pull {name}",
    )


def _missing_of_own(model: Model, own: Path, environment: Mapping[str, str]) -> Weights | None:
    """What lacks before a base of the user's own can be used, as far as a glance tells."""
    if not own.exists():
        return Weights(
            name=f"{model.name} (a base of your own)",
            size_bytes=0,
            licence=OWN_LICENCE,
            how_to_get=f"let {setting(model.name)} name a directory or file that is there",
        )
    if own.is_file() and settings_of(model.name, environment) is None and model.source:
        return Weights(
            name=f"{model.name} (tokenizer and settings for your single file)",
            size_bytes=model.source.about_bytes,
            licence=model.licence.title,
            how_to_get=f"myspinbot models pull {model.name}",
        )
    return None


def base_of(name: str, environment: Mapping[str, str] = os.environ) -> Base:
    """What is said of the base that an engine starts from."""
    model = find(name)
    own = own_base(name, environment)
    if own is not None:
        size = size_of(own) if own.exists() else 0
        return Base(title=OWN_TITLE, size_bytes=size, licence=OWN_LICENCE)
    if model.source is None:
        from gpu_runner.engines.mini.base import BASE

        size = size_of(BASE)
    else:
        size = model.source.about_bytes
    return Base(title=model.title, size_bytes=size, licence=model.licence.title)


def told_of(name: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is said of a base in what is made from it, as plain JSON; empty is unknown."""
    if own_base(name, environment) is not None:
        return {"name": name, "title": OWN_TITLE, "licence": "", "licence_url": ""}
    return find(name).told()


def version_of(version: str, name: str, environment: Mapping[str, str] = os.environ) -> str:
    """An engine's version, which with a base of the user's own is that base's own."""
    own = own_base(name, environment)
    return f"{version}+{fingerprint(own)}" if own is not None and own.exists() else version
