"""A base of the user's own in the place of one that is pulled, named where the runner is.

`MYSPINBOT_BASE_SD15` and `MYSPINBOT_BASE_SDXL` each name a diffusers directory or one safetensors
file, `MYSPINBOT_BASE_I2V` a diffusers directory, `MYSPINBOT_BASE_XTTS` a directory with the files
of the pulled model. Who may send jobs cannot name one: it would tell what files that machine has.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

REPLACEABLE = ("sd15", "sdxl", "i2v", "xtts")
_LOOKED_AT = 65536
_DIGITS = 8
_WEIGHTS = (".safetensors", ".pth", ".onnx")


def setting(name: str) -> str:
    """The variable that names the base of an engine."""
    return f"MYSPINBOT_BASE_{name.upper()}"


def own_base(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The base that the user wants for an engine, whether it is there or not."""
    named = environment.get(setting(name), "") if name in REPLACEABLE else ""
    return Path(named).expanduser().absolute() if named else None


def size_of(base: Path) -> int:
    """Bytes of all files of a base."""
    return sum(path.stat().st_size for path in _files(base))


def fingerprint(base: Path) -> str:
    """Eight hex digits that differ between bases, from places in each file of weights.

    Reading all of them would take minutes, and finetunes differ everywhere.
    """
    stats = ((path, path.stat()) for path in _files(base) if path.suffix in _WEIGHTS)
    return _fingerprint(base, tuple((path, one.st_size, one.st_mtime_ns) for path, one in stats))


@lru_cache(maxsize=8)
def _fingerprint(base: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """Kept, as a runner announces its engines every few seconds."""
    digest = hashlib.sha256()
    for path, size, _changed_at in files:
        digest.update(f"{path.relative_to(base)}/{size}/".encode())
        with path.open("rb") as file:
            for place in (0, size // 2, max(0, size - _LOOKED_AT)):
                file.seek(place)
                digest.update(file.read(_LOOKED_AT))
    return digest.hexdigest()[:_DIGITS]


def _files(base: Path) -> Iterator[Path]:
    """The file, or all files of a directory in order."""
    if base.is_file():
        yield base
    else:
        yield from (path for path in sorted(base.rglob("*")) if path.is_file())
