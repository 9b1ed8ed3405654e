"""Hostile inputs, each made by a function: what it tries, where it is put in, what is expected.

A function's docstring says what it tries. `every()` knows all of them, so that a new function is
tried at once.
"""

from __future__ import annotations

from importlib import import_module

from tests.security.corpus.inputs import Hostile, known

_KINDS = ("archives", "bodies", "names", "pictures", "scripts", "sounds", "targets", "weights")


def every() -> tuple[Hostile, ...]:
    """The whole corpus."""
    for kind in _KINDS:
        import_module(f"{__name__}.{kind}")
    return known()
