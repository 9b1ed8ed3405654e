"""The libraries that compute, loaded without what they would load besides.

diffusers, transformers and accelerate import whatever else is installed, and diffusers all models
that it has, though nothing here uses them. torch's compiler is imported by all who mark what it
shall not compile, though nothing here is compiled, and its tensors that are spread over machines
bring a computer algebra system, though a text encoder is never spread. Without that, and without
Python's search for garbage among a million objects that all stay, a stage begins in little more
than half of the time and in 130 MB less.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from types import ModuleType
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


def _same(marked: Any = None, *_: object, **__: object) -> Any:
    """A decorator, with parentheses or without, that leaves what it decorates as it is."""
    return marked if marked is not None else _same


_COMPILER = "torch._dynamo"
_MARKS = {
    "disable": _same,
    "allow_in_graph": _same,
    "assume_constant_result": _same,
    "graph_break": lambda: None,
}
"""How code tells the compiler what it shall leave alone, which is all that is asked of it here."""


def load() -> None:
    """Load them; of no effect once they are loaded."""
    with _without(_UNUSED), _without_garbage_collection():
        # First of all: looking for the others imports what marks itself for the compiler.
        compiler = _put_off(_COMPILER)
        if compiler is not None:
            vars(compiler).update(_MARKS)
        for name in _CROWDED:
            _put_off(name)
        _keep_transformers_together()
        for name in _USED:
            import_module(name)
        _keep_adapters_together()
    if compiler is not None:
        sys.meta_path.insert(0, _Closed(compiler))
    # All of it stays, and need not be looked through again.
    gc.freeze()


class _Closed(MetaPathFinder, Loader):
    """Finds a module of a package that has been put off, by letting the package load it.

    Its modules use each other, and only the package itself loads them in an order that works.
    """

    def __init__(self, package: ModuleType) -> None:
        self._package = package

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if not name.startswith(f"{self._package.__name__}."):
            return None
        sys.meta_path.remove(self)
        fill = vars(self._package).get("__getattr__")
        if fill is not None:
            fill("__name__")
        import_module(name)
        return spec_from_loader(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""


def _put_off(name: str) -> ModuleType | None:
    """Let a package's modules be imported one by one, without the package's own code.

    That runs as soon as something is asked of the package itself that it has not (PEP 562). None if
    it is loaded, or not there.
    """
    spec = find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return None
    loader, package = spec.loader, module_from_spec(spec)

    def fill(asked: str) -> Any:
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, asked)

    package.__getattr__ = fill  # type: ignore[method-assign]
    parent, _, child = name.rpartition(".")
    sys.modules[name] = package
    setattr(sys.modules[parent], child, package)
    return package


def _keep_transformers_together() -> None:
    """Tell transformers that its models cannot be spread over machines.

    It stays told: its modules that come later must see what the earlier ones saw. Trainings on
    several devices are accelerate's, which asks torch itself.
    """
    for name in ("transformers.utils.import_utils", "transformers.utils"):
        import_module(name).is_torch_distributed_available = lambda: False  # type: ignore[attr-defined]


def _keep_adapters_together() -> None:
    """Tell peft that no layer that it adapts is spread over machines, as it asks of each."""
    layers = import_module("peft.tuners.tuners_utils")
    setattr(layers, "_torch_supports_distributed", False)  # noqa: B010


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
