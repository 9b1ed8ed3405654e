"""Imports a package with nothing but its lock: `python -m tests.support.imports LOCK PACKAGE…`.

A module with `-` before its name is left out, as one of an optional extra is.

Whatever another distribution of this environment would have brought is not found, as it would not
be in an image that is made of the lock. Prints the modules that were imported.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def locked(lock: Path) -> dict[str, Requirement]:
    """The requirements of a lock file by canonical name, those of other systems left out."""
    text = lock.read_text().replace("\\\n", " ")
    lines = (line.split(" --hash")[0].strip() for line in text.splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in found}


class OnlyLocked(MetaPathFinder):
    """Finds nothing, and says so, for modules of distributions that are not in the lock."""

    def __init__(self, names: set[str]) -> None:
        self._foreign = {
            module
            for module, distributions in packages_distributions().items()
            if not any(canonicalize_name(each) in names for each in distributions)
        }

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for a foreign module, else leaves it to those who can."""
        if fullname.partition(".")[0] in self._foreign:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def main(lock: Path, packages: Sequence[str]) -> None:
    ours = {
        each for names in packages_distributions().values() for each in names if "myspinbot" in each
    }
    names = set(locked(lock)) | {canonicalize_name(each) for each in ours}
    # What this module itself needed is taken back: the lock may not have it.
    for module in [name for name in sys.modules if name.partition(".")[0] == "packaging"]:
        del sys.modules[module]
    sys.meta_path.insert(0, OnlyLocked(names))
    left_out = {name[1:] for name in packages if name.startswith("-")}
    for package in (name for name in packages if not name.startswith("-")):
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            # A module of that name is a program that runs when it is imported.
            if not found.name.endswith("__main__") and found.name not in left_out:
                importlib.import_module(found.name)
                sys.stdout.write(f"{found.name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
