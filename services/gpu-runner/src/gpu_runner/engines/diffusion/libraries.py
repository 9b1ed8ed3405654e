"""The libraries that compute, loaded without what they would load besides.

diffusers, transformers and accelerate import whatever else is installed, and diffusers all models
that it has, though nothing here uses them. Without that, and without Python's search for garbage
among a million objects that all stay, a stage begins in two thirds of the time and in 60 MB less.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_USED = (
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.autoencoders.autoencoder_tiny",
    "diffusers.schedulers.scheduling_ddim",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "peft",
)
_CROWDED = (
    "diffusers.models.transformers",
    "diffusers.models.unets",
    "diffusers.models.autoencoders",
)
"""Packages of which a module or two is used; as packages they would import all of theirs."""
_UNUSED = ("scipy", "boto3", "jinja2")
"""Schedules by beta distribution and object detection; Amazon's machines; templates of chats."""


def load() -> None:
    """Load them; of no effect once they are loaded."""
    with _without(_UNUSED), _without_garbage_collection():
        for name in _CROWDED:
            _open(name)
        for name in _USED:
            import_module(name)
    # All of it stays, and need not be looked through again.
    gc.freeze()


def _open(name: str) -> None:
    """Let a package's modules be imported one by one, without the package's own code.

    That runs as soon as something is asked of the package itself (PEP 562).
    """
    spec = find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    loader, package = spec.loader, module_from_spec(spec)

    def fill(asked: str) -> Any:
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, asked)

    package.__getattr__ = fill  # type: ignore[method-assign]
    parent, _, child = name.rpartition(".")
    sys.modules[name] = package
    setattr(sys.modules[parent], child, package)


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Let packages that are not loaded yet look as if they were not installed.

    None in their place is Python's own way to say so
    (https://docs.python.org/3/reference/import.html#the-module-cache).
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
